"""Pure tensor functions: no state, no config, no runner. The maths of every method lives here."""

from mmssl.functional.bag_of_words import (
    bag_divergence,
    bag_of_words,
    local_averages,
    perplexity,
    word_codes,
    word_distances,
)
from mmssl.functional.bank import last_occurrences, mixed_rows, random_rows
from mmssl.functional.barlow_twins import barlow_twins
from mmssl.functional.clusters import Members, class_weights, cluster_members, label_change, weighted_cross_entropy
from mmssl.functional.collectives import (
    broadcast,
    gather,
    gather_with_gradient,
    lengths_on_ranks,
    max_over_ranks,
    mean_over_ranks,
    rank,
    reversed_batch,
    sum_over_ranks,
    world_size,
)
from mmssl.functional.constrained import (
    Centroids,
    SoftLabels,
    averaged_slots,
    constrained_assignment,
    dual_ascent,
    slot_weights,
    updated_centroids,
)
from mmssl.functional.contrast import batch_contrast, contrast, info_nce, noise_contrastive, nt_xent
from mmssl.functional.domains import domain_log_posteriors, domain_mixture
from mmssl.functional.hallucination import extrapolate
from mmssl.functional.image_text import bidirectional_contrast, cross_modal_losses, masked_max
from mmssl.functional.inter_image import (
    arc_margin,
    cosine_margin,
    draw_from_pool,
    draw_members,
    draw_others,
    hardest_others,
)
from mmssl.functional.invariance import (
    instance_loss,
    instance_loss_of_the_paper,
    propagation_loss,
    propagation_loss_of_the_paper,
)
from mmssl.functional.kmeans import (
    Clustering,
    cluster_means,
    fill_empty,
    kmeans,
    largest,
    most_similar,
    nearest_centroids,
    split_in_two,
)
from mmssl.functional.masked_image import ChosenPatches, choose_patches, masked_pixel_loss, patchify, sincos_positions
from mmssl.functional.mixture import Mixture, draw_mixture, mix, region_mixture
from mmssl.functional.neighbors import (
    BankScores,
    ChosenScores,
    bank_scores,
    chosen_scores,
    contains,
    propagate_neighbors,
    reached_set,
    row_scores,
    without_self,
)
from mmssl.functional.pixels import (
    dense_contrast,
    match_pixels,
    pixel_contrast,
    pixel_positive_mask,
    pixel_to_propagation,
    propagate_pixels,
)
from mmssl.functional.precision import in_float32
from mmssl.functional.pseudo_classes import clean_batches, count_clean_batches, ranked_order
from mmssl.functional.randomness import (
    Stream,
    hash_draws,
    hash_normals,
    hash_places,
    hash_seed,
    random_state_kept,
    seed_cpu,
)
from mmssl.functional.rotation import four_rotations, quarter_turns
from mmssl.functional.self_distillation import self_distillation
from mmssl.functional.shuffle import Shuffle
from mmssl.functional.siamese import negative_cosine
from mmssl.functional.sinkhorn import sinkhorn
from mmssl.functional.swapped_prediction import swapped_prediction
from mmssl.functional.table import hardest_classes, look_up, shard_of, table_cross_entropy
from mmssl.functional.unit import unit
from mmssl.functional.vicreg import VICRegTerms, vicreg
from mmssl.functional.whiten import whiten

__all__ = [
    'BankScores',
    'Centroids',
    'ChosenPatches',
    'ChosenScores',
    'Clustering',
    'Members',
    'Mixture',
    'Shuffle',
    'SoftLabels',
    'Stream',
    'VICRegTerms',
    'arc_margin',
    'averaged_slots',
    'bag_divergence',
    'bag_of_words',
    'bank_scores',
    'barlow_twins',
    'batch_contrast',
    'bidirectional_contrast',
    'broadcast',
    'choose_patches',
    'chosen_scores',
    'class_weights',
    'clean_batches',
    'cluster_means',
    'cluster_members',
    'constrained_assignment',
    'contains',
    'contrast',
    'cosine_margin',
    'count_clean_batches',
    'cross_modal_losses',
    'dense_contrast',
    'domain_log_posteriors',
    'domain_mixture',
    'draw_from_pool',
    'draw_members',
    'draw_mixture',
    'draw_others',
    'dual_ascent',
    'extrapolate',
    'fill_empty',
    'four_rotations',
    'gather',
    'gather_with_gradient',
    'hardest_classes',
    'hardest_others',
    'hash_draws',
    'hash_normals',
    'hash_places',
    'hash_seed',
    'in_float32',
    'info_nce',
    'instance_loss',
    'instance_loss_of_the_paper',
    'kmeans',
    'label_change',
    'largest',
    'last_occurrences',
    'lengths_on_ranks',
    'local_averages',
    'look_up',
    'masked_max',
    'masked_pixel_loss',
    'match_pixels',
    'max_over_ranks',
    'mean_over_ranks',
    'mix',
    'mixed_rows',
    'most_similar',
    'nearest_centroids',
    'negative_cosine',
    'noise_contrastive',
    'nt_xent',
    'patchify',
    'perplexity',
    'pixel_contrast',
    'pixel_positive_mask',
    'pixel_to_propagation',
    'propagate_neighbors',
    'propagate_pixels',
    'propagation_loss',
    'propagation_loss_of_the_paper',
    'quarter_turns',
    'random_rows',
    'random_state_kept',
    'rank',
    'ranked_order',
    'reached_set',
    'region_mixture',
    'reversed_batch',
    'row_scores',
    'seed_cpu',
    'self_distillation',
    'shard_of',
    'sincos_positions',
    'sinkhorn',
    'slot_weights',
    'split_in_two',
    'sum_over_ranks',
    'swapped_prediction',
    'table_cross_entropy',
    'unit',
    'updated_centroids',
    'vicreg',
    'weighted_cross_entropy',
    'whiten',
    'without_self',
    'word_codes',
    'word_distances',
    'world_size',
]
