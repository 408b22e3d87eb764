"""Fine-tune a backbone with labels: tools/benchmarks/classification/finetune.py CONFIG --checkpoint FILE.

CONFIG is a config in ``configs/benchmarks/classification`` that trains the backbone: with 1 % or 10 % of the labels, or
on a small data set. Prints the same results as ``linear.py`` and writes them to ``finetune.json`` in the work
directory.
"""

import linear

from mmssl.command_line import one_sentence


def main() -> None:
    """Train, print and write the results."""
    args = linear.make_parser('Fine-tune a backbone with labels.').parse_args()
    cfg = linear.load_config(args)
    if cfg.model.get('frozen', True):
        raise ValueError(f'{args.config} keeps the backbone frozen: give it to linear.py in the same folder.')
    linear.report(args, cfg, linear.train(cfg), 'finetune.json', epochs=cfg.train_cfg.max_epochs)


if __name__ == '__main__':
    with one_sentence():
        main()
