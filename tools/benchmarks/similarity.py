"""Measure sentence embeddings: similarity.py CHECKPOINT --data FILE; the same as mmssl similarity."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('similarity')
