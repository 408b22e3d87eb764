"""What a representation is worth, with labels and without."""

from mmssl.evaluation.clustering import cluster_agreement, cluster_classes
from mmssl.evaluation.collapse import collapse_measures, collapse_warning, project_features
from mmssl.evaluation.evaluate import (
    NO_LABELS,
    NO_QUERY,
    accuracies,
    build_dataset,
    compare_baselines,
    evaluate,
    headline,
    label_free_measures,
    untrained,
)
from mmssl.evaluation.features import (
    Features,
    RawPixels,
    extract_features,
    extract_views,
    feature_batches,
    joined,
    raw_pixel_features,
)
from mmssl.evaluation.few_labels import draw_per_class, few_labels_probe, mean_and_spread, per_class
from mmssl.evaluation.fixed_part import FixedPart
from mmssl.evaluation.knn import knn_accuracy, knn_predict, nearest_neighbors
from mmssl.evaluation.linear import (
    FAST_PROBE,
    count_classes,
    fit_logistic,
    fit_sgd,
    linear_probe,
    mean_class_accuracy,
    probe_with_views,
    sgd_probe,
    top_k_accuracy,
)
from mmssl.evaluation.linear_classifier import LinearClassifier, MultiStageClassifier
from mmssl.evaluation.linear_hook import LinearAccuracyHook
from mmssl.evaluation.measures import (
    alignment,
    deviation,
    effective_rank,
    mean_cosine,
    retrieval_of_other_view,
    uniformity,
)
from mmssl.evaluation.svm import average_precision, low_shot_svm, voc07_low_shot, voc07_svm
from mmssl.evaluation.table import (
    format_results,
    format_table,
    protocols,
    result_columns,
    result_numbers,
    table_lines,
    verdict,
)
from mmssl.evaluation.usage import usage, usage_warning

__all__ = [
    'FAST_PROBE',
    'NO_LABELS',
    'NO_QUERY',
    'Features',
    'FixedPart',
    'LinearAccuracyHook',
    'LinearClassifier',
    'MultiStageClassifier',
    'RawPixels',
    'accuracies',
    'alignment',
    'average_precision',
    'build_dataset',
    'cluster_agreement',
    'cluster_classes',
    'collapse_measures',
    'collapse_warning',
    'compare_baselines',
    'count_classes',
    'deviation',
    'draw_per_class',
    'effective_rank',
    'evaluate',
    'extract_features',
    'extract_views',
    'feature_batches',
    'few_labels_probe',
    'fit_logistic',
    'fit_sgd',
    'format_results',
    'format_table',
    'headline',
    'joined',
    'knn_accuracy',
    'knn_predict',
    'label_free_measures',
    'linear_probe',
    'low_shot_svm',
    'mean_and_spread',
    'mean_class_accuracy',
    'mean_cosine',
    'nearest_neighbors',
    'per_class',
    'probe_with_views',
    'project_features',
    'protocols',
    'raw_pixel_features',
    'result_columns',
    'result_numbers',
    'retrieval_of_other_view',
    'sgd_probe',
    'table_lines',
    'top_k_accuracy',
    'uniformity',
    'untrained',
    'usage',
    'usage_warning',
    'verdict',
    'voc07_low_shot',
    'voc07_svm',
]
