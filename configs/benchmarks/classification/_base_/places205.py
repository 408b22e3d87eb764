"""Places205, read from its lists; inherit it after the protocol."""

from mmssl.datasets import ImageList

data_root = 'data/places205'
places_train = dict(type=ImageList, file='data/places205/meta/train.txt', root='data/places205/train')
places_val = dict(type=ImageList, file='data/places205/meta/val.txt', root='data/places205/val')
