"""The fast probe against a paper's protocol: compare_linear.py CONFIG --checkpoint FILE.

Runs both on one checkpoint and prints accuracy and time of each, features included, and the ratio. CONFIG is one of
``configs/benchmarks/classification``.
"""

import json
import time
from pathlib import Path
from typing import Any

import linear as protocol_tool
from mmengine.config import Config


def fast_probe(cfg: Config) -> dict[str, Any]:
    """The fast probe with everything it needs, from pictures to accuracy."""
    from mmssl.evaluation import extract_features, linear_probe
    from mmssl.registry import DATASETS, MODELS

    start, evaluation = time.perf_counter(), cfg.evaluation
    model = MODELS.build(cfg.model)
    model.init_weights()
    train, test = (
        extract_features(model, DATASETS.build(evaluation[name]), evaluation.batch_size, evaluation.num_workers)
        for name in ('gallery', 'query')
    )
    probed = linear_probe(train.features, train.labels, test.features, test.labels)
    return {**probed, 'seconds': time.perf_counter() - start, 'seconds_fit': probed['seconds']}


def main() -> None:
    """Measure both, print, write."""
    args = protocol_tool.parse_args()
    cfg = protocol_tool.load_config(args)
    fast = fast_probe(cfg)
    paper = protocol_tool.train(cfg)
    for result in (fast, paper):
        print(f'{result["top1"]:6.2f} %  {result["seconds"]:8.1f} s  {result["protocol"]}')
    share = fast['seconds'] / paper['seconds']
    print(f'difference {fast["top1"] - paper["top1"]:+.2f} points in {share:.3f} of the time')
    path = Path(cfg.work_dir) / 'compare_linear.json'
    path.write_text(json.dumps({'checkpoint': args.checkpoint, 'fast': fast, 'paper': paper}, indent=2) + '\n')
    print(f'Written to {path}')


if __name__ == '__main__':
    main()
