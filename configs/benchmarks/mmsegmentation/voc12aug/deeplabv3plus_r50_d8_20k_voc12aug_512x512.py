# DeepLabV3+ R50-d8 on VOC2012 with the additional masks of SBD, 512 x 512, 20,000 iterations of 16 images: MMSegmentation's recipe,
# from a ResNet-50 with the plain stem. Not a paper's protocol.
_base_ = 'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12aug-512x512.py'

model = dict(pretrained=None, backbone=dict(type='ResNet'))
auto_scale_lr = dict(enable=False, base_batch_size=16)
