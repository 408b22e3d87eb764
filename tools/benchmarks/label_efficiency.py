"""Learning curves over the number of labels: tools/benchmarks/label_efficiency.py DATA, or mmssl benchmark labels."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('benchmark labels')
