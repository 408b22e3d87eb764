"""Cluster images: tools/dataset_tools/cluster_images.py CHECKPOINT --clusters NUMBER; the same as mmssl cluster."""

from mmssl.commands import run_tool

if __name__ == '__main__':
    run_tool('cluster')
