"""Any timm model as a backbone."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmssl.dependencies import require
from mmssl.functional import sincos_positions
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS

_MAPS = 4  # of a network whose blocks all have the same size
_SIZE_ERRORS = ("doesn't match model", 'should be divisible by', 'Kernel size')  # of timm and torch


@MODELS.register_module()
class TimmBackbone(nn.Module):
    """A timm model by name, without classifier and without pooling.

    The keys are timm's with the prefix ``model.``.

    Args:
        name: A name from ``timm.list_models()``.
        in_channels: Channels of the images, at least 1.
        pool: How features of whole images are made: ``'class'``, the class token, or ``'mean'``, the average over the
            map. By default the class token if the network has one. Methods that learn from maps need ``'mean'``, since
            nothing trains the token.
        fixed_positions: Whether a ViT has fixed positions, sines and cosines, instead of learned ones (MoCo v3, MAE).
        fixed_patches: Whether the projection of a ViT's patches keeps its random weights (MoCo v3).
        options: Further arguments of ``timm.create_model``, for example ``channels=(16, 32, 64, 128)``.

    Attributes:
        out_channels: Width of the features.
        takes_class_token: Whether features of whole images are the class token.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm has no model of that name; the message lists similar names. Something of a ViT is to be fixed,
            but the model is none.
    """

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        pool: Literal['class', 'mean'] | None = None,
        fixed_positions: bool = False,
        fixed_patches: bool = False,
        **options: Any,
    ) -> None:
        check_numbers(COUNT, in_channels=in_channels)
        super().__init__()
        timm = require('timm')
        if name not in timm.list_models():
            near = ', '.join(timm.list_models(f'*{name[:6]}*')[:5]) or 'none'
            raise ValueError(f'timm has no model {name!r} (near names: {near}): choose one of timm.list_models().')
        self.in_channels = in_channels
        self.model = timm.create_model(name, in_chans=in_channels, num_classes=0, global_pool='', **options)
        self.out_channels: int = self.model.num_features
        self._stages = _stages_of(self.model)
        has_token = getattr(self.model, 'has_class_token', False)
        if pool not in (None, 'class', 'mean') or (pool == 'class' and not has_token):
            raise ValueError(f"pool={pool!r} of {name}: set it to 'mean'{', or to class' if has_token else ''}.")
        self.takes_class_token: bool = has_token if pool is None else pool == 'class'
        if (fixed_positions or fixed_patches) and not self.is_vit:
            raise ValueError(
                f'{name} is no ViT, whose positions or patches could be fixed: take vit_small_patch16_224.'
            )
        if fixed_positions:
            _fix_positions(self.model)
        if fixed_patches:
            _fix_patches(self.model)

    @property
    def is_vit(self) -> bool:
        """Whether the model is timm's plain ViT, whose patches can be left out."""
        plain = require('timm').models.vision_transformer.VisionTransformer
        if not isinstance(self.model, plain):
            return False
        return self.model.pos_embed is not None and isinstance(self.model.patch_drop, nn.Identity)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps ``(B, C, H', W')`` of all stages.

        A network whose blocks all have the same size, such as a ViT, gives the maps after four of them, evenly spaced;
        its tokens are arranged like their patches. The last map is that of the whole network, its final norm included.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Raises:
            ValueError: The network gives no maps.
        """
        maps, last = self._run(images)
        return (*maps[:-1], self._as_map(last, maps))

    def pooled(self, images: Tensor) -> Tensor:
        """Features of whole images: the class token or the average over the map, as ``pool`` says.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Returns:
            Shape ``(B, C)``.
        """
        with self._sizes_explained(images):
            return self._pool(self._last_of(self.model(images, **self._attention(images))))

    def pooled_stages(self, images: Tensor) -> list[Tensor]:
        """Features of whole images of all stages; the last ones are those of :meth:`pooled`.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.

        Returns:
            One tensor ``(B, C)`` per stage.
        """
        maps, last = self._run(images)
        return [*(stage.mean(dim=(2, 3)) for stage in maps[:-1]), self._pool(last)]

    def seen_tokens(self, images: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Features of a ViT that sees some patches only; the others are left out before the first block.

        Args:
            images: Normalised, shape ``(B, C, H, W)``.
            seen: Numbers of the patches, int64, shape ``(B, K)``.

        Returns:
            The class token and other tokens before the patches, ``(B, P, C)``, and the patches, ``(B, K, C)``.
        """
        prefix = self.model.num_prefix_tokens

        def choose(_module: nn.Module, _inputs: tuple, tokens: Tensor) -> Tensor:
            patches = tokens[:, prefix:].gather(1, seen[..., None].expand(-1, -1, tokens.shape[2]))
            return torch.cat([tokens[:, :prefix], patches], dim=1)

        handle = self.model.patch_drop.register_forward_hook(choose)  # it stands where the positions are known
        try:
            with self._sizes_explained(images):
                tokens = self.model.forward_features(images, **self._attention(images, seen))
        finally:
            handle.remove()
        return tokens[:, :prefix], tokens[:, prefix:]

    def _attention(self, images: Tensor, seen: Tensor | None = None) -> dict[str, Tensor]:
        """Further arguments of the model for some images; ``seen`` are the patches that are not left out."""
        return {}

    def _run(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps of all stages, and the last features: a map ``(B, C, H', W')``, or tokens ``(B, N, C)``."""
        with self._sizes_explained(images):
            if not hasattr(self.model, 'forward_intermediates'):
                return [], self._last_of(self.model(images))
            last, maps = self.model.forward_intermediates(images, indices=self._stages, **self._attention(images))
            return maps, self._last_of(self.model.forward_head(last))

    @contextmanager
    def _sizes_explained(self, images: Tensor) -> Iterator[None]:
        """Say in one sentence that images are too small for the network, or not of the size that it takes."""
        try:
            yield
        except (AssertionError, RuntimeError) as error:
            if not any(words in str(error) for words in _SIZE_ERRORS):
                raise
            height, width = images.shape[2:]
            raise ValueError(
                f'{type(self.model).__name__} of timm does not take images of {height} x {width} pixels '
                f'({str(error).splitlines()[0]}): set img_size of a transformer (and, for views of several sizes, '
                'dynamic_img_size=True of a ViT or strict_img_size=False of a Swin), or give views whose sides are '
                'larger, or multiples of the patch size.'
            ) from error

    def _last_of(self, features: Tensor) -> Tensor:
        channels_last = features.dim() == 4 and getattr(self.model, 'output_fmt', 'NCHW') == 'NHWC'
        return features.permute(0, 3, 1, 2) if channels_last else features

    def _as_map(self, last: Tensor, maps: list[Tensor]) -> Tensor:
        if last.dim() == 4:
            return last
        if not maps:
            raise ValueError(
                f'{type(self.model).__name__} of timm gives no maps of features: take a ResNet, a ConvNeXt or a ViT.'
            )
        patches = last[:, getattr(self.model, 'num_prefix_tokens', 0) :]
        return patches.transpose(1, 2).unflatten(2, maps[-1].shape[2:])

    def _pool(self, last: Tensor) -> Tensor:
        if last.dim() == 4:
            return last.mean(dim=(2, 3))
        if self.takes_class_token:
            return last[:, 0]
        return last[:, getattr(self.model, 'num_prefix_tokens', 0) :].mean(dim=1)


def _fix_positions(model: nn.Module) -> None:
    """Replace the learned positions; tokens before the patches get zeros."""
    rows, columns = model.patch_embed.grid_size
    positions = sincos_positions(rows, columns, model.embed_dim)
    before = model.pos_embed.shape[1] - len(positions)
    model.pos_embed.data.copy_(torch.cat([positions.new_zeros(before, positions.shape[1]), positions]))
    model.pos_embed.requires_grad_(False)


def _fix_patches(model: nn.Module) -> None:
    """Freeze the projection of the patches, at weights as of a linear layer (Xavier)."""
    projection = model.patch_embed.proj
    bound = math.sqrt(6 / (projection.weight[0].numel() + model.embed_dim))
    nn.init.uniform_(projection.weight, -bound, bound)
    if projection.bias is not None:
        nn.init.zeros_(projection.bias)
    model.patch_embed.requires_grad_(False)


def _stages_of(model: nn.Module) -> list[int] | None:
    """Numbers of the blocks after which a map is taken; None for all, if they differ in size."""
    stages = [(stage['num_chs'], stage['reduction']) for stage in getattr(model, 'feature_info', [])]
    if len(stages) <= _MAPS or len(set(stages)) > 1:
        return None
    return [math.ceil(len(stages) * place / _MAPS) - 1 for place in range(1, _MAPS + 1)]
