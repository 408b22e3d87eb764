# Like fcos_r18_fpn_cpu_20e_bccd.py, with the boxes in COCO's format (tools/dataset_tools/voc_to_coco.py data/BCCD
# data/BCCD/annotations).
_base_ = './fcos_r18_fpn_cpu_20e_bccd.py'

_train = dict(
    type='CocoDataset', ann_file='annotations/instances_train.json', data_prefix=dict(_delete_=True, img='JPEGImages/')
)
_test = dict(_train, ann_file='annotations/instances_test.json')
train_dataloader = dict(dataset=_train)
val_dataloader = dict(dataset=_test)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/BCCD/annotations/instances_test.json')
test_evaluator = val_evaluator
