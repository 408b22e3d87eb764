"""What a representation is worth, with labels and without."""

from mmssl.evaluation.cache import FeatureCache, pictures_fingerprint, weights_fingerprint
from mmssl.evaluation.clustering import cluster_agreement, cluster_classes
from mmssl.evaluation.evaluate import (
    NO_LABELS,
    NO_QUERY,
    accuracies,
    build_dataset,
    compare_floors,
    evaluate,
    headline,
    label_free_measures,
    untrained,
)
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
from mmssl.evaluation.few_labels import draw_per_class, few_labels_probe, mean_and_spread, per_class
from mmssl.evaluation.knn import knn_accuracy, knn_predict, nearest_neighbors
from mmssl.evaluation.linear import (
    FAST_PROBE,
    fit_logistic,
    fit_sgd,
    linear_probe,
    probe_with_views,
    sgd_probe,
    top_k_accuracy,
)
from mmssl.evaluation.linear_hook import LinearAccuracyHook
from mmssl.evaluation.measures import alignment, deviation, effective_rank, retrieval_of_other_view, uniformity
from mmssl.evaluation.probe import ProbeData, fifth, probe_data, probe_features
from mmssl.evaluation.svm import average_precision, low_shot_svm, voc07_low_shot, voc07_svm
from mmssl.evaluation.table import format_results, protocols, result_columns, result_numbers, table_lines, verdict

__all__ = [
    'FAST_PROBE',
    'NO_LABELS',
    'NO_QUERY',
    'FeatureCache',
    'Features',
    'LinearAccuracyHook',
    'ProbeData',
    'RawPixels',
    'accuracies',
    'alignment',
    'average_precision',
    'build_dataset',
    'cluster_agreement',
    'cluster_classes',
    'compare_floors',
    'deviation',
    'draw_per_class',
    'effective_rank',
    'eval_mode',
    'evaluate',
    'extract_features',
    'extract_views',
    'feature_batches',
    'few_labels_probe',
    'fifth',
    'fit_logistic',
    'fit_sgd',
    'format_results',
    'headline',
    'joined',
    'knn_accuracy',
    'knn_predict',
    'label_free_measures',
    'linear_probe',
    'low_shot_svm',
    'mean_and_spread',
    'nearest_neighbors',
    'per_class',
    'pictures_fingerprint',
    'probe_data',
    'probe_features',
    'probe_with_views',
    'protocols',
    'random_state_kept',
    'raw_pixel_features',
    'result_columns',
    'result_numbers',
    'retrieval_of_other_view',
    'sgd_probe',
    'table_lines',
    'top_k_accuracy',
    'uniformity',
    'untrained',
    'verdict',
    'voc07_low_shot',
    'voc07_svm',
    'weights_fingerprint',
]
