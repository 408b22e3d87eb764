"""What a representation is worth, with labels and without."""

from mmssl.evaluation.evaluate import NO_LABELS, NO_QUERY, build_dataset, compare_floors, evaluate, headline, untrained
from mmssl.evaluation.features import (
    Features,
    RawPixels,
    eval_mode,
    extract_features,
    extract_views,
    feature_batches,
    joined,
    random_state_kept,
    raw_pixel_features,
)
from mmssl.evaluation.knn import knn_accuracy, knn_predict, nearest_neighbors
from mmssl.evaluation.linear import (
    FAST_PROBE,
    count_classes,
    fit_logistic,
    linear_probe,
    mean_class_accuracy,
    probe_with_views,
    top_k_accuracy,
)
from mmssl.evaluation.linear_hook import LinearAccuracyHook
from mmssl.evaluation.measures import alignment, deviation, effective_rank, retrieval_of_other_view, uniformity
from mmssl.evaluation.table import format_results, protocols, result_columns, verdict

__all__ = [
    'FAST_PROBE',
    'NO_LABELS',
    'NO_QUERY',
    'Features',
    'LinearAccuracyHook',
    'RawPixels',
    'alignment',
    'build_dataset',
    'compare_floors',
    'count_classes',
    'deviation',
    'effective_rank',
    'eval_mode',
    'evaluate',
    'extract_features',
    'extract_views',
    'feature_batches',
    'fit_logistic',
    'format_results',
    'headline',
    'joined',
    'knn_accuracy',
    'knn_predict',
    'linear_probe',
    'mean_class_accuracy',
    'nearest_neighbors',
    'probe_with_views',
    'protocols',
    'random_state_kept',
    'raw_pixel_features',
    'result_columns',
    'retrieval_of_other_view',
    'top_k_accuracy',
    'uniformity',
    'untrained',
    'verdict',
]
