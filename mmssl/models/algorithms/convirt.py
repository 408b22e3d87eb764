"""ConVIRT: identify the text of an image, and the image of a text (Zhang et al., MLHC 2022)."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmssl.datasets import Batch
from mmssl.functional import bidirectional_contrast, masked_max, unit
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.texts.tokenizers import BaseTokenizer
from mmssl.ranges import POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class ConVIRT(BaseAlgorithm):
    """Pull an image and a sentence of its text together, and push them away from those of other pairs.

    Two towers meet in one space: the backbone and its neck for images, the text tower and its neck for sentences.
    Evaluation and export use the backbone alone.

    Args:
        backbone: Module or its config, for images.
        neck: Module or its config; features of an image to its embedding.
        text_tower: Module or its config; tokens and mask to one row of features per token.
        text_neck: Module or its config; features of a text to its embedding.
        tokenizer: :class:`~mmssl.models.WordTokenizer`, :class:`~mmssl.models.TransformersTokenizer`, or its config.
        temperature: Divides the cosines; above 0.
        weight: Weight of the direction from image to text, lambda in the paper, 0 to 1; the other one has ``1 -
            weight``.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: The text tower has fewer tokens than the tokenizer, or takes shorter texts.

    Source: the paper, section 3.
    """

    minimum_batch = 2
    num_views = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        text_tower: nn.Module | dict,
        text_neck: nn.Module | dict,
        tokenizer: BaseTokenizer | dict,
        temperature: float = 0.1,
        weight: float = 0.75,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(POSITIVE, temperature=temperature)
        check_numbers(SHARE, weight=weight)
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.neck, self.text_tower, self.text_neck = build(neck), build(text_tower), build(text_neck)
        self.tokenizer = build(tokenizer)
        self.temperature, self.weight = temperature, weight
        self._check_tokens()

    def _check_tokens(self) -> None:
        for name in ('num_tokens', 'max_length'):
            needed, given = getattr(self.tokenizer, name, 0), getattr(self.text_tower, name, math.inf)
            if needed > given:
                raise ValueError(
                    f'The tokenizer has {name}={needed}, but the text tower {given}: set model.text_tower.{name} to '
                    f'{needed}.'
                )

    def meet(self, dataset: Any) -> None:
        """Let the tokenizer learn the words of the training set, unless a checkpoint held them, and read with it.

        Args:
            dataset: The training set, a :class:`~mmssl.datasets.PairDataset`.

        Raises:
            ValueError: It has no texts.
        """
        if not hasattr(dataset, 'read_with'):
            raise ValueError(
                f'ConVIRT learns from images with texts, but the data set is {type(dataset).__name__}: set '
                "train_dataloader.dataset.type to 'PairDataset', and its source to a PairList or PairFolder."
            )
        if not self.tokenizer.fitted:
            self.tokenizer.fit(dataset.texts())
        dataset.read_with(self.tokenizer.reader())

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Contrast images with texts in both directions (ConVIRT, eq. 4).

        Args:
            inputs: One normalised view, ``(B, C, H, W)``.
            batch: ``tokens`` and ``mask`` of one sentence per image among its extras, ``(B, L)``.

        Returns:
            ``loss``.

        Raises:
            ValueError: The batch has no tokens.
        """
        if 'tokens' not in batch.extras:
            raise ValueError(
                'ConVIRT needs the tokens of a text for every image: set train_dataloader.dataset.type to '
                "'PairDataset'."
            )
        images = unit(self.embed(inputs[0]))
        texts = unit(self.embed_texts(batch.extras['tokens'], batch.extras['mask']))
        return {'loss': bidirectional_contrast(images, texts, self.temperature, self.weight)}

    def extract_text_feat(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features of texts: the maximum over their tokens; ``(B, L)`` twice to ``(B, D)``."""
        return masked_max(self.text_tower(tokens, mask), mask)

    def embed_texts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Embeddings of texts in the space of the images' embeddings.

        Args:
            tokens: int64, shape ``(B, L)``.
            mask: Whether a token belongs to the text, bool, shape ``(B, L)``.

        Returns:
            Shape ``(B, E)``, not normalised.
        """
        return self.text_neck(self.extract_text_feat(tokens, mask))

    def embed_sentences(self, sentences: Sequence[str]) -> Tensor:
        """Embeddings of sentences, such as the names of classes: ``B`` texts to ``(B, E)``, not normalised."""
        device = next(self.text_neck.parameters()).device
        return self.embed_texts(*self.tokenizer(sentences, device))

    def chance_loss(self, batch_size: int) -> float | None:
        """Ln of the number of pairs, in both directions."""
        return math.log(batch_size)
