# Mask R-CNN R50-FPN on COCO, 90,000 iterations. Protocol of MoCo (He et al., CVPR 2020) and PixPro (Xie et al., CVPR 2021):
# every layer trains; SyncBN in backbone, pyramid and heads; a box head of four convolutions; shorter side 640 to 800.
# The papers used Detectron2; where MMDetection does something else (sampling, initial weights), it is left as it is.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/coco_instances_640_800.py',
    '../_base_/iterations_90k.py',
]

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(bbox_head=dict(type='Shared4Conv1FCBBoxHead', norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)),
)
