# Mask R-CNN R50-FPN on COCO, 180,000 iterations; otherwise like mask_rcnn_r50_fpn_1x_coco.py.
_base_ = './mask_rcnn_r50_fpn_1x_coco.py'

train_cfg = dict(max_iters=180000, val_interval=180000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=180000, milestones=[120000, 160000], gamma=0.1),
]
