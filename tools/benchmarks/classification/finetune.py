"""Fine-tune a backbone with labels: tools/benchmarks/classification/finetune.py CONFIG --checkpoint FILE.

CONFIG is one of ``configs/benchmarks/classification`` that lets the backbone learn: with 1 % or 10 % of the labels, or
on a small set. Prints and writes what ``linear.py`` does, into ``finetune.json`` in the work directory.
"""

import linear


def main() -> None:
    """Train, print, write."""
    args = linear.make_parser('Fine-tune a backbone with labels.').parse_args()
    cfg = linear.load_config(args)
    if cfg.model.get('frozen', True):
        raise ValueError(f'{args.config} keeps the backbone frozen: give it to linear.py beside this script.')
    linear.report(args, cfg, linear.train(cfg), 'finetune.json', epochs=cfg.train_cfg.max_epochs)


if __name__ == '__main__':
    try:
        main()
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f'{type(error).__name__}: {error}') from error
