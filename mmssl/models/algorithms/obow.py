"""OBoW: predict the bag of visual words that a teacher sees in the whole image (Gidaris et al., CVPR 2021)."""

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import bag_divergence, perplexity
from mmssl.models.algorithms.base import Assignment, BaseAlgorithm, build
from mmssl.models.heads import BagOfWordsHead
from mmssl.models.memories import EMATeacher, Vocabulary
from mmssl.models.memories.base import BaseMemory, build_memory
from mmssl.models.modes import eval_mode
from mmssl.ranges import SHARE, check_numbers
from mmssl.registry import MODELS

_CHUNK = 4096  # images assigned at a time


@MODELS.register_module()
class OBoW(BaseAlgorithm):
    """Predict, from crops of an image, the words that the teacher finds in the maps of the image.

    The first view is the teacher's; the student sees all others. Views of one size form a kind; the losses of the
    kinds are added, as in the authors' code, whatever the number of views of a kind.

    Args:
        backbone: Module or its config; it returns the maps that words come from.
        head: Module or its config; features and words to scores of the words.
        vocabularies: Memory of the words of every level, or its config: by default a
            :class:`~mmssl.models.Vocabulary` (``num_words``, ``dim``, ``inv_delta``).
        levels: Which of the backbone's maps each vocabulary describes; by default the last ones.
        momentum: Weight of the OLD teacher, 0 to 1; the paper moves it to 1 along a cosine.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: There is another number of levels than of vocabularies.

    Source: the paper, and valeoai/obow for the order of operations.
    """

    assigns_features = True

    def __init__(
        self,
        backbone: nn.Module | dict,
        head: BagOfWordsHead | dict,
        vocabularies: Sequence[BaseMemory | dict],
        levels: Sequence[int] | None = None,
        momentum: float = 0.99,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(SHARE, momentum=momentum)
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.head = build(head)
        self.vocabularies = nn.ModuleList(build_memory(memory, Vocabulary) for memory in vocabularies)
        self.levels = tuple(range(-len(vocabularies), 0) if levels is None else levels)
        if len(self.levels) != len(vocabularies):
            raise ValueError(
                f'{len(self.levels)} levels for {len(vocabularies)} vocabularies: give OBoW one level per vocabulary.'
            )
        self.teacher = EMATeacher(self.backbone, momentum=momentum)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Divergence between the words that the student predicts and those that the teacher sees (OBoW, eq. 3).

        Args:
            inputs: Normalised views: the teacher's first; the student's of one size are adjacent.
            batch: Its draw numbers decide which places become words.

        Returns:
            ``loss``; ``perplexity``, the effective number of words of the last level in the batch; and
            ``perplexity_image``, that in an image.

        Raises:
            ValueError: There is no view for the student.
        """
        if len(inputs) < 2:
            raise ValueError(
                "OBoW got 1 view, which is the teacher's: set train_dataloader.dataset.views.counts to numbers that "
                'add up to 2 or more.'
            )
        bags = self.teach(inputs[0], batch.draw)
        weights = self.head([memory.words for memory in self.vocabularies])
        parts = []
        for _, views in groupby(inputs[1:], key=lambda view: view.shape[-2:]):
            kind = list(views)
            scores = self.head.scores(self.extract_feat(torch.cat(kind)), weights)
            parts.append(bag_divergence(scores, [bag.repeat(len(kind), 1) for bag in bags]))
        self.teacher.stage()
        last = bags[-1]
        return {
            'loss': torch.stack(parts).sum(),
            'perplexity': perplexity(last.mean(dim=0)),
            'perplexity_image': perplexity(last).mean(),
        }

    @torch.no_grad()
    def teach(self, images: Tensor, draws: Tensor) -> list[Tensor]:
        """Bags of words of images, one ``(B, V)`` per level; stages the places that become words."""
        maps = self.teacher.networks[0](images)
        bags = []
        for level, memory in zip(self.levels, self.vocabularies):
            bag, nearest = memory.bags(maps[level])
            memory.stage(maps[level], draws, nearest)
            bags.append(bag)
        return bags

    @torch.no_grad()
    def assignments(self, features: Callable[[], Tensor]) -> dict[str, Assignment]:
        """Add ``'words'``: the word of the last level that is predicted first for each image of ``features``."""
        device = self.vocabularies[-1].words.device
        with eval_mode(self):
            weights = self.head([memory.words for memory in self.vocabularies])[-1:]
            scores = (self.head.scores(part.to(device), weights)[0] for part in features().split(_CHUNK))
            chosen = torch.cat([part.argmax(dim=1).cpu() for part in scores])
        words = Assignment(chosen, len(self.vocabularies[-1]), 'words')
        return {**super().assignments(features), 'words': words}
