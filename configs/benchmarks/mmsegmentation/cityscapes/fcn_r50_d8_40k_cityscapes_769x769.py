# FCN R50-d8 on Cityscapes, 769 x 769, 40,000 iterations of 8 images: MMSegmentation's recipe, from a ResNet-50 with the plain
# stem that backbones pre-trained without labels have (MMSegmentation's own has a deep one). PixPro (Xie et al., CVPR 2021)
# reports an FCN-16s whose settings were not released, so its figures are not exactly comparable.
_base_ = 'mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-769x769.py'

model = dict(pretrained=None, backbone=dict(type='ResNet'))
auto_scale_lr = dict(enable=False, base_batch_size=8)
