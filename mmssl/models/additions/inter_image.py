"""InterCLR: a second loss that pulls images of one cluster together (Xie et al., IJCV 2022)."""

from typing import Literal

from torch import Tensor

from mmssl.datasets.structures import Batch
from mmssl.functional import (
    ChosenScores,
    Members,
    Stream,
    arc_margin,
    chosen_scores,
    cluster_members,
    contrast,
    cosine_margin,
    draw_from_pool,
    draw_members,
    draw_others,
    hardest_others,
    hash_draws,
    hash_places,
    hash_seed,
    row_scores,
    unit,
)
from mmssl.models.additions.base import Addition, Host, Losses
from mmssl.models.memories.base import BaseMemory, build_memory
from mmssl.models.memories.cluster_memory import ClusterMemory
from mmssl.ranges import COUNT, POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS

_MARGINS = {'cosine': cosine_margin, 'arc': arc_margin}
_POOLED = ('semihard', 'semieasy')
_NEGATIVES_KINDS = ('random', 'semieasy', 'semihard', 'hard')


@MODELS.register_module()
class InterImage(Addition):
    """InterCLR's second branch: contrast a member of the query's cluster with images of other clusters.

    The other losses get the rest of the weight, and the host's own ``loss`` is then called ``loss_intra``. Labels are
    read before the keys are staged, without gradient, for the clusters. On MoCo this is the paper's method; on other
    hosts it is our extension.

    Args:
        clusters: The memory, by default a :class:`~mmssl.models.ClusterMemory`, or its config.
        weight: Weight of this branch, 0 to 1.
        num_negatives: Negatives per query, at least 1.
        negatives: ``'random'``, from all images; ``'semihard'`` and ``'semieasy'``, at random from the ``pool_size``
            most or least similar; ``'hard'``, the most similar ones. Members of the query's own cluster are left out.
        pool_size: Pool of semi-hard and semi-easy negatives, at least 1; a tenth of the data in the paper.
        margin: Margin of the decision boundary, applied to the positive; values below 0 loosen it.
        margin_kind: ``'cosine'`` or ``'arc'``.
        temperature: Divides the cosines; above 0.

    Raises:
        ValueError: There is no such kind of negatives or margin.

    Source: InterCLR, section 3 (Xie et al., IJCV 2022), and mmselfsup 0.x.
    """

    hosts = ('MoCo', 'SimCLR', 'BYOL', 'SimSiam')

    def __init__(
        self,
        clusters: BaseMemory | dict,
        weight: float = 0.25,
        num_negatives: int = 16384,
        negatives: Literal['random', 'semieasy', 'semihard', 'hard'] = 'semihard',
        pool_size: int = 128000,
        margin: float = -0.5,
        margin_kind: Literal['cosine', 'arc'] = 'cosine',
        temperature: float = 0.2,
    ) -> None:
        check_numbers(SHARE, weight=weight)
        check_numbers(COUNT, num_negatives=num_negatives, pool_size=pool_size)
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__()
        if negatives not in _NEGATIVES_KINDS or margin_kind not in _MARGINS:
            raise ValueError(
                f'negatives={negatives!r} with margin_kind={margin_kind!r}: set negatives to one of '
                f'{_NEGATIVES_KINDS}, and margin_kind to one of {tuple(_MARGINS)}.'
            )
        self.clusters, self.weight = build_memory(clusters, ClusterMemory), float(weight)
        self.num_negatives, self.negatives, self.pool_size = num_negatives, negatives, pool_size
        self.margin, self.boundary, self.temperature = margin, _MARGINS[margin_kind], temperature

    def forward(
        self, host: Host, losses: Losses, inputs: list[Tensor], queries: Tensor, keys: Tensor, batch: Batch
    ) -> Losses:
        """Weight the losses so far, and add the loss between images (InterCLR, section 3).

        Returns:
            ``loss_intra`` in place of ``loss``; ``loss_inter`` while it has a weight; ``label_change``, the share of
            the last batch that changed its cluster; ``largest_cluster``, the share of all images in the largest one.
        """
        rest = 1 - self.weight
        losses = {name: rest * value if 'loss' in name else value for name, value in losses.items()}
        if 'loss' in losses:
            losses['loss_intra'] = losses.pop('loss')
        if self.weight:
            losses['loss_inter'] = self.weight * self.inter_loss(unit(queries), batch)
        self.clusters.stage(batch.sample_idx, unit(keys))
        return {**losses, **self.clusters.health}

    def inter_loss(self, queries: Tensor, batch: Batch) -> Tensor:
        """InfoNCE of unit queries ``(B, D)`` with members of their clusters: a scalar."""
        memory = self.clusters
        members = cluster_members(memory.labels, memory.labels[batch.sample_idx], memory.num_clusters)
        positives = draw_members(members, batch.draw, hash_seed(memory.seed, Stream.INTER_POSITIVES))
        positive = row_scores(queries, memory.rows, positives[:, None])[:, 0]
        negative = self.negative_scores(queries, members, batch).scores
        return contrast(self.boundary(positive, self.margin), negative, self.temperature)

    def negative_scores(self, queries: Tensor, members: Members, batch: Batch) -> ChosenScores:
        """Cosines with negatives, and the indices of those images.

        Args:
            queries: Unit rows, shape ``(B, D)``.
            members: Members of each query's cluster, from :func:`~mmssl.functional.cluster_members`.
            batch: Its draw numbers seed the random choice.

        Returns:
            Scores and sample indices, ``(B, num_negatives)`` each.

        Raises:
            ValueError: The query's own cluster is all there is to choose from.
        """
        rows, labels = self.clusters.rows, self.clusters.labels
        self._refuse(members.counts == len(rows), batch.sample_idx)
        seed = hash_seed(self.clusters.seed, Stream.INTER_NEGATIVES)
        if self.negatives == 'random':
            chosen = draw_others(members, len(rows), hash_draws(seed, batch.draw, self.num_negatives))
            return ChosenScores(row_scores(queries, rows, chosen), chosen)

        def choose(scores: Tensor, some: slice) -> Tensor:
            pool = self.pool(scores, int(members.counts.max()))
            own = labels[pool] == labels[batch.sample_idx[some]][:, None]
            self._refuse(own.all(dim=1), batch.sample_idx[some])
            if self.negatives == 'hard':
                return hardest_others(pool, own, self.num_negatives)
            return draw_from_pool(pool, own, self.num_negatives, hash_places(seed, batch.draw[some], pool))

        return chosen_scores(queries, rows, choose)

    def pool(self, scores: Tensor, largest_cluster: int) -> Tensor:
        """Candidates for negatives: ``(B, N)`` cosines to ``(B, P)``; for hard negatives, the most similar first."""
        if self.negatives == 'hard':
            return scores.topk(min(self.num_negatives + largest_cluster, scores.shape[1]), dim=1).indices
        return scores.topk(self.pool_size, dim=1, largest=self.negatives == 'semihard', sorted=False).indices

    def _refuse(self, without_others: Tensor, sample_idx: Tensor) -> None:
        if bool(without_others.any()):
            sample = int(sample_idx[without_others][0])
            size = int(self.clusters.counts[self.clusters.labels[sample]])
            more = f', or pool_size above {size}' if self.negatives in _POOLED and size < len(self.clusters) else ''
            raise ValueError(
                f'All {self.negatives} negatives of image {sample} would come from its own cluster, which has {size} '
                f'of {len(self.clusters)} images: set num_clusters higher{more}.'
            )

    def check(self, num_samples: int) -> None:
        """Refuse more negatives, or a larger pool, than there are images.

        Raises:
            ValueError: There are too few images; the message says which number to change, and to what.
        """
        if self.negatives in _POOLED and not self.num_negatives <= self.pool_size <= num_samples:
            tenth = max(num_samples // 10, 1)
            raise ValueError(
                f'{self.num_negatives} negatives out of a pool of {self.pool_size}, but the data set has {num_samples} '
                f'images: set pool_size to {tenth} (a tenth), and num_negatives to {tenth} or less.'
            )
        if self.num_negatives > num_samples:
            raise ValueError(
                f'{self.num_negatives} negatives, but the data set has {num_samples} images: set num_negatives to '
                f'{max(num_samples // 2, 1)} or less.'
            )
