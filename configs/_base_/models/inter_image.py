"""InterCLR's addition: semi-hard negatives among the clusters of all images (mmselfsup's numbers)."""

from mmssl.models import ClusterMemory, InterImage

inter_image = dict(
    type=InterImage,
    weight=0.25,
    clusters=dict(type=ClusterMemory, num_clusters=10000, dim=128, momentum=0.0, min_cluster=20, centroid_interval=10),
    num_negatives=16384,
    negatives='semihard',
    pool_size=128000,
    margin=-0.5,
    temperature=0.2,
)
