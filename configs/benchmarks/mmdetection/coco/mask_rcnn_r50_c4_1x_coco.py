# Mask R-CNN R50-C4 on COCO, 90,000 iterations. Protocol of MoCo (He et al., CVPR 2020) and PixPro (Xie et al., CVPR 2021):
# every layer trains, SyncBN, a norm after the fifth stage, shorter side 640 to 800.
# Batch-norm statistics are not estimated again before testing (PRECISE_BN in Detectron2). The papers used Detectron2; where
# MMDetection does something else (sampling, initial weights of the heads), it is left as it is.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50-caffe-c4.py',
    '../_base_/coco_instances_640_800.py',
    '../_base_/iterations_90k.py',
]

custom_imports = dict(imports=['mmssl.transfer.mmdetection'], allow_failed_imports=False)
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, style='pytorch', init_cfg=None),
    roi_head=dict(
        shared_head=dict(type='ResLayerExtraNorm', norm_cfg=norm_cfg, norm_eval=False, style='pytorch', init_cfg=None)
    ),
)
