# FCOS R50-FPN on COCO, 12 epochs of 16 images, for a pyramid that was pre-trained with its backbone (PixPro, Xie et al.,
# CVPR 2021, section 3.3; configs/pixpro/pixpro_resnet50_8xb128_fpn_100e_imagenet.py). P3 to P6 are loaded, P7 starts anew.
# The paper gives neither code nor settings: this is MMDetection's FCOS recipe with every layer training, SyncBN in the
# backbone, and ImageNet's mean and deviation in RGB.
_base_ = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        frozen_stages=-1,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
    ),
)
