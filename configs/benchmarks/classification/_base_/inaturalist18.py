"""iNaturalist 2018, read from lists that tools/dataset_tools/image_lists.py makes; inherit it after the protocol."""

from mmssl.datasets import ImageList

data_root = 'data/inaturalist18'
inaturalist_train = dict(type=ImageList, file='data/inaturalist18/meta/train.txt', root='data/inaturalist18')
inaturalist_val = dict(type=ImageList, file='data/inaturalist18/meta/val.txt', root='data/inaturalist18')
