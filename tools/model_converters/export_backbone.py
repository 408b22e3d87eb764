"""Export a backbone: export_backbone.py CHECKPOINT OUT --target torchvision; the same as mmssl export."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('export')
