"""Learning curves over the number of labels: tools/benchmarks/label_efficiency.py DATA [--pretrain 20].

The same as ``mmssl benchmark labels``; --help says what DATA may be.
"""

import argparse

from mmssl.command_line import one_sentence
from mmssl.commands import label_efficiency


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=label_efficiency.__doc__)
    label_efficiency.add_arguments(parser)
    label_efficiency.run(parser.parse_args())


if __name__ == '__main__':
    with one_sentence(label_efficiency.ERRORS):
        main()
