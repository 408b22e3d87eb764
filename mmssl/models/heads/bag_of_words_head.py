"""Head that predicts bags of words, with weights made from the words."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmssl.functional import unit
from mmssl.models.necks import MLPNeck
from mmssl.ranges import COUNT, POSITIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class BagOfWordsHead(nn.Module):
    """Predict the words of an image from its features, with one weight per word that a small network makes of the word.

    So the prediction follows the vocabulary, which changes with every step. Batch norm of that network sees the words
    of a vocabulary as its batch; they are the same on every rank.

    Args:
        in_channels: Width of the features, at least 1.
        word_channels: Width of the words of every level, at least 1.
        scale: Factor of the scores: the paper's ``kappa``, above 0.

    Source: OBoW, section 3.4 (Gidaris et al., CVPR 2021); valeoai/obow, ``bow_predictor.py``.
    """

    def __init__(self, in_channels: int, word_channels: Sequence[int], scale: float = 8.0) -> None:
        check_numbers(COUNT, in_channels=in_channels, word_channels=word_channels)
        check_numbers(POSITIVE, scale=scale)
        super().__init__()
        self.word_channels, self.scale = list(word_channels), scale
        self.generators = nn.ModuleList(
            MLPNeck(width, 2 * in_channels, in_channels, bias=False, last_bias=True) for width in word_channels
        )

    def forward(self, words: Sequence[Tensor]) -> list[Tensor]:
        """Make the weights of every level.

        Args:
            words: Words of every level, ``(V, C)`` each.

        Returns:
            Unit rows for every level, ``(V, in_channels)`` each.

        Raises:
            ValueError: The words have other widths.
        """
        if (widths := [level.shape[1] for level in words]) != self.word_channels:
            raise ValueError(
                f'Words have {widths} channels, not {self.word_channels}: set head.word_channels={widths}.'
            )
        return [unit(generator(unit(level))) for generator, level in zip(self.generators, words, strict=True)]

    def scores(self, features: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
        """Scores of the words: features ``(B, in_channels)``, not normalised, to ``(B, V)`` for every level."""
        return [self.scale * features @ level.T for level in weights]
