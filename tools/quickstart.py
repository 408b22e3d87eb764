"""The quickstart, which tools/quickstart.sh calls in its environment; the same as mmssl pretrain."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('pretrain')
