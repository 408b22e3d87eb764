"""RASL, our reconstruction: highlights of videos from images, learned with their sound (Li, Sun and Xiao, TIP 2024)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import (
    Stream,
    activation,
    bidirectional_contrast,
    choose_patches,
    hash_draws,
    hash_seed,
    highlight_precision,
    k_point_loss,
    masked_sequence_loss,
    unit,
)
from mmssl.models.algorithms.base import BaseAlgorithm, PictureSheet, PretextScore, build
from mmssl.ranges import COUNT, INNER_SHARE, NOT_NEGATIVE, POSITIVE, check_numbers
from mmssl.registry import MODELS

_PICTURE, _INK, _TRUTH = (96, 160), (31, 119, 180), (255, 217, 160)  # height and width in pixels; colours
_UNUSUAL = 'the same if the steps farthest from the mean of their video were the highlights; untrained'
_NO_SOUND = (
    "The sequences have no 'audio', which RASL learns with: set audio=True in train_dataloader.dataset, and give "
    'videos with a sound track.'
)


class _Seen(NamedTuple):
    """What one branch makes of its sequences: latents ``(B, T, D)`` and the loss of its reconstruction."""

    latents: Tensor
    loss: Tensor


@MODELS.register_module()
class RASL(BaseAlgorithm):
    """Sequences of image and sound are reconstructed from a part of their steps; the activation is the highlight curve.

    This is a reconstruction from the abstract of the paper, not the authors' method. Sound is needed for training only.

    Args:
        backbone: Encoder of image sequences, such as a :class:`~mmssl.models.SequenceEncoder`, or its config.
        audio_encoder: Encoder of sound sequences with as many latents, or its config.
        k: Points of a curve that stand out, at least 1 and fewer than it has steps.
        mask_ratio: Share of the steps that are hidden, between 0 and 1; of image and sound independently.
        visible_weight: Weight of the steps that are not hidden, in the reconstruction, at least 0.
        symmetric_weight: Weight of the contrast between image and sound, at least 0.
        k_point_weight: Weight of the k-point contrast, at least 0.
        temperature: Of the contrast between image and sound, above 0.
        k_point_temperature: Of the k-point contrast, above 0.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: The encoders have different numbers of latents, or ``mask_ratio`` is not between 0 and 1.

    Source: our reconstruction; all numbers are ours.
    """

    num_views = 1

    def __init__(
        self,
        backbone: nn.Module | dict,
        audio_encoder: nn.Module | dict,
        k: int = 5,
        mask_ratio: float = 0.3,
        visible_weight: float = 0.3,
        symmetric_weight: float = 0.5,
        k_point_weight: float = 0.3,
        temperature: float = 0.1,
        k_point_temperature: float = 0.5,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(COUNT, k=k)
        check_numbers(INNER_SHARE, mask_ratio=mask_ratio)
        check_numbers(
            NOT_NEGATIVE,
            visible_weight=visible_weight,
            symmetric_weight=symmetric_weight,
            k_point_weight=k_point_weight,
        )
        check_numbers(POSITIVE, temperature=temperature, k_point_temperature=k_point_temperature)
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.audio_encoder = build(audio_encoder)
        widths = self.backbone.out_channels, self.audio_encoder.out_channels
        if widths[0] != widths[1]:
            raise ValueError(
                f'The image encoder has {widths[0]} latents and the sound encoder {widths[1]}, but they are compared: '
                f'set model.audio_encoder.channels={widths[0]}.'
            )
        self.decoder = nn.Linear(widths[0], self.backbone.in_channels)
        self.audio_decoder = nn.Linear(widths[1], self.audio_encoder.in_channels)
        self.k, self.mask_ratio, self.visible_weight = k, mask_ratio, visible_weight
        self.symmetric_weight, self.k_point_weight = symmetric_weight, k_point_weight
        self.temperature, self.k_point_temperature = temperature, k_point_temperature

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """Masked reconstruction, contrast of image with sound, and k-point contrast of both curves.

        Args:
            inputs: Image sequences, one view, shape ``(B, C, T, 1, 1)``.
            batch: With ``audio`` in its ``extras``, ``(B, A, T)``; its draw numbers decide which steps are hidden.

        Returns:
            ``loss_reconstruction``, ``loss_symmetric`` and ``loss_k_point``, each times its weight.

        Raises:
            ValueError: There is no sound, or a sequence has no more steps than ``k``.
        """
        if 'audio' not in batch.extras:
            raise ValueError(_NO_SOUND)
        self._check_steps(inputs[0].shape[2])
        audio = torch.as_tensor(batch.extras['audio']).to(inputs[0])[..., None, None]
        masks = [self._masked(batch.draw, inputs[0].shape[2], number) for number in range(2)]
        image = self._seen(self.backbone, self.decoder, inputs[0], masks[0])
        sound = self._seen(self.audio_encoder, self.audio_decoder, audio, masks[1])
        pooled = unit(image.latents.mean(dim=1)), unit(sound.latents.mean(dim=1))
        points = [k_point_loss(activation(part.latents), self.k, self.k_point_temperature) for part in (image, sound)]
        return {
            'loss_reconstruction': image.loss + sound.loss,
            'loss_symmetric': self.symmetric_weight * bidirectional_contrast(*pooled, self.temperature),
            'loss_k_point': self.k_point_weight * (points[0] + points[1]),
        }

    def _check_steps(self, steps: int) -> None:
        if steps <= self.k:
            raise ValueError(
                f'Sequences of {steps} steps, but k={self.k} of them should stand out: set '
                f'train_dataloader.dataset.length to {4 * self.k} or more, or model.k to {max(steps // 4, 1)}.'
            )

    def _masked(self, draws: Tensor, steps: int, number: int) -> Tensor:
        """Which steps one of the two branches does not see, bool, ``(B, T)``: as many in every sequence."""
        noise = hash_draws(hash_seed(self.seed, Stream.MASKS, number), draws, steps)
        hidden = min(max(round(steps * self.mask_ratio), 1), steps - 1)
        return choose_patches(noise, steps - hidden).masked

    def _seen(self, encoder: nn.Module, decoder: nn.Module, sequences: Tensor, masked: Tensor) -> _Seen:
        latents = _steps(encoder(sequences, masked)[-1])
        return _Seen(latents, masked_sequence_loss(decoder(latents), _steps(sequences), masked, self.visible_weight))

    def scores(self, sequences: Tensor) -> Tensor:
        """Highlight score of every step, from images alone.

        Args:
            sequences: Normalised image sequences, shape ``(B, C, T, 1, 1)``.

        Returns:
            Standardised over the steps, shape ``(B, T)``.
        """
        return activation(_steps(self.backbone(sequences)[-1]))

    def mean_latents(self, sequences: Tensor) -> Tensor:
        """Mean latent of every step, ``(B, T)``: the scores before they are standardised, comparable between parts."""
        return _steps(self.backbone(sequences)[-1]).mean(dim=2)

    def pretext_scores(self, inputs: list[Tensor], batch: Batch) -> list[PretextScore]:
        """Average precision of the highlight curve of each video; nothing where highlights are not known."""
        if 'highlights' not in batch.extras:
            return []
        truth, scores = torch.as_tensor(batch.extras['highlights']).bool(), self.scores(inputs[0])
        every = 'average precision of the highlight curve, mean over the videos (0 to 1)'
        return [
            PretextScore('highlight mAP', highlight_precision(scores, truth), every),
            PretextScore(
                'top-5 mAP', highlight_precision(scores, truth, 5), 'the same of the five highest steps alone'
            ),
            PretextScore('mAP of unusual steps', highlight_precision(unusual(inputs[0]), truth), _UNUSUAL),
        ]

    def picture_sheets(self, inputs: list[Tensor], batch: Batch) -> list[PictureSheet]:
        """Highlight curve of each video, with the true highlights where they are known."""
        scores = self.scores(inputs[0]).cpu()
        truth = batch.extras.get('highlights', torch.zeros(scores.shape)).bool().cpu()
        text = 'Score of each step of a video, from its images alone. Shaded: true highlights, where they are known.'
        row = [(_drawn(*pair), f'video {int(index)}') for *pair, index in zip(scores, truth, batch.sample_idx)]
        return [PictureSheet('Highlight curves', text, [row])]


def unusual(sequences: Tensor) -> Tensor:
    """Distance of every step from the mean step, ``(B, C, T, 1, 1)`` to ``(B, T)``: a score without training."""
    steps = sequences.flatten(2)
    return (steps - steps.mean(dim=2, keepdim=True)).norm(dim=1)


def _steps(sequences: Tensor) -> Tensor:
    """Steps as rows: ``(B, C, T, 1, 1)`` to ``(B, T, C)``."""
    return sequences.flatten(2).transpose(1, 2)


def _drawn(scores: Tensor, truth: Tensor) -> Tensor:
    """A curve as a small picture, uint8, ``(3, H, W)``."""
    height, width = _PICTURE
    places = torch.arange(width) * len(scores) // width  # the step of each column
    span = (scores.max() - scores.min()).clamp_min(1e-6)
    rows = ((scores.max() - scores) / span * (height - 3)).round().long() + 1
    picture = torch.full((3, height, width), 255, dtype=torch.uint8)
    picture[:, :, truth[places]] = torch.tensor(_TRUTH, dtype=torch.uint8)[:, None, None]
    for column in range(width):  # from the level of the last column to that of this one
        low, high = sorted(int(rows[places[place]]) for place in (max(column - 1, 0), column))
        picture[:, low - 1 : high + 1, column] = torch.tensor(_INK, dtype=torch.uint8)[:, None]
    return picture
