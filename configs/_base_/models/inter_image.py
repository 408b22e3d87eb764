"""InterCLR's second loss: semi-hard negatives among the clusters of all images (mmselfsup's numbers)."""

from mmssl.models import InterImageHead

inter_image = dict(
    inter_weight=0.25,
    inter=dict(
        type=InterImageHead,
        clusters=dict(num_clusters=10000, dim=128, momentum=0.0, min_cluster=20, centroid_interval=10),
        num_negatives=16384,
        negatives='semihard',
        pool_size=128000,
        margin=-0.5,
        temperature=0.2,
    ),
)
