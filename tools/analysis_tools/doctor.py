"""``mmssl doctor`` as a script."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('doctor')
