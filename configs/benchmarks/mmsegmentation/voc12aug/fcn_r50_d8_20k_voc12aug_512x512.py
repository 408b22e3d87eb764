# FCN R50-d8 on VOC2012 with the further masks of SBD, 512 x 512, 20,000 iterations of 16 pictures: MMSegmentation's recipe, from a
# ResNet-50 with the plain stem. DenseCL (Wang et al., CVPR 2021) and others use this one; MoCo's own FCN differs (dilation 6
# in the head, 513 pixels, 50 epochs).
_base_ = 'mmseg::fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py'

model = dict(pretrained=None, backbone=dict(type='ResNet'))
