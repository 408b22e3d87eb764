"""The fast probe against a paper's protocol: compare_linear.py CONFIG --checkpoint FILE.

Runs both on one checkpoint and prints accuracy and time of each, features included, and the ratio. CONFIG is one of
``configs/benchmarks/classification``.
"""

import json
from pathlib import Path

import linear


def main() -> None:
    """Measure both, print, write."""
    args = linear.parse_args()
    cfg = linear.load_config(args)
    fast, paper = linear.probe(cfg), linear.train(cfg)
    for result in (fast, paper):
        print(f'{result["top1"]:6.2f} %  {result["seconds"]:8.1f} s  {result["protocol"]}')
    share = fast['seconds'] / paper['seconds']
    print(f'difference {fast["top1"] - paper["top1"]:+.2f} points in {share:.3f} of the time')
    path = Path(cfg.work_dir) / 'compare_linear.json'
    path.write_text(json.dumps({'checkpoint': args.checkpoint, 'fast': fast, 'paper': paper}, indent=2) + '\n')
    print(f'Written to {path}')


if __name__ == '__main__':
    main()
