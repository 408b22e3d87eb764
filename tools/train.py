"""Pre-train with a config: python tools/train.py CONFIG; the same as mmssl train."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('train')
