"""Measure checkpoints on a folder: probe.py CHECKPOINT [...] --data FOLDER; the same as mmssl probe."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('probe')
