"""CoKe on ResNet-50: the settings shared by its forms with one view and with several."""

from mmssl.models import CoKe, ConstrainedClusters, DataPreprocessor, MLPNeck, ResNet

model = dict(
    type=CoKe,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(
        type=MLPNeck, in_channels=2048, hidden_channels=2048, out_channels=128, num_layers=3, last_batch_norm=True
    ),
    predictor=dict(type=MLPNeck, in_channels=128, hidden_channels=2048, out_channels=128),
    clusters=dict(type=ConstrainedClusters, dim=128, ratio=0.4, dual_rate=20.0),
    num_clusters=[3000, 4000, 5000],
)
sync_bn = True
