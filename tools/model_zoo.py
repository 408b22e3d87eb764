"""The model zoo: tools/model_zoo.py list|download|verify|convert; the same as mmssl zoo."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('zoo')
