"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT; the same as mmssl test."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('test')
