"""Text towers: tokens to one row of features per token."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmssl.dependencies import require
from mmssl.ranges import COUNT, INDEX, check_heads, check_numbers
from mmssl.registry import MODELS

__all__ = ['TransformersTower', 'WordTransformer', 'freeze_first']


def freeze_first(embeddings: nn.Module, layers: Sequence[nn.Module], count: int) -> None:
    """Freeze the first layers of a text tower and its embeddings; 0 freezes nothing.

    Args:
        embeddings: Tokens to the input of the first layer.
        layers: The layers, in order.
        count: Number of layers to freeze.

    Raises:
        ValueError: There are fewer layers.
    """
    if not 0 <= count <= len(layers):
        raise ValueError(
            f'frozen_layers={count}, but the text tower has {len(layers)} layers: set {len(layers)} or less.'
        )
    for module in [embeddings, *layers[:count]] if count else []:
        module.requires_grad_(False)


@MODELS.register_module()
class WordTransformer(nn.Module):
    """A small transformer over words, trained from random weights.

    Args:
        num_tokens: Number of different tokens, that of the tokenizer, at least 1.
        max_length: Maximum number of tokens of a text, that of the tokenizer, at least 1.
        dim: Width of the features, at least 1.
        depth: Number of layers, at least 1.
        num_heads: Number of heads in each, at least 1.

    Attributes:
        out_channels: Width of the features.
        num_tokens: Number of different tokens.
        max_length: Maximum number of tokens of a text.
    """

    def __init__(
        self, num_tokens: int = 10_000, max_length: int = 64, dim: int = 256, depth: int = 4, num_heads: int = 4
    ) -> None:
        check_numbers(COUNT, num_tokens=num_tokens, max_length=max_length, dim=dim, depth=depth, num_heads=num_heads)
        check_heads(dim, num_heads)
        super().__init__()
        self.out_channels, self.num_tokens, self.max_length = dim, num_tokens, max_length
        self.embeddings = nn.Embedding(num_tokens, dim)
        self.positions = nn.Parameter(torch.empty(max_length, dim))
        for weight in (self.embeddings.weight, self.positions):
            nn.init.trunc_normal_(weight, std=0.02)
        settings = {'dropout': 0.0, 'activation': 'gelu', 'batch_first': True, 'norm_first': True}
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, num_heads, 4 * dim, **settings) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features of every token; padding has no influence on the others.

        Args:
            tokens: int64, shape ``(B, L)``.
            mask: Whether a token belongs to the text, bool, shape ``(B, L)``.

        Returns:
            Shape ``(B, L, out_channels)``.
        """
        hidden = self.embeddings(tokens) + self.positions[: tokens.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=~mask)
        return self.norm(hidden)


@MODELS.register_module()
class TransformersTower(nn.Module):
    """A text tower of the package transformers (extra ``text``), built from its config; such as ClinicalBERT.

    Args:
        config: ``model_type`` and what differs from the defaults of that type, such as
            ``dict(model_type='bert', vocab_size=28996)``.
        init: Name on the hub, or folder, of the weights that a training starts from; they are read then, not when
            a checkpoint is loaded. None for random ones.
        frozen_layers: Number of layers that do not learn, with the embeddings, at least 0; 0 for none.

    Attributes:
        out_channels: Width of the features.
        num_tokens: Number of different tokens.
        max_length: Maximum number of tokens of a text.

    Raises:
        ImportError: transformers is not installed.
        ValueError: There are fewer layers, or none are found under ``encoder.layer``.
    """

    def __init__(self, config: Mapping[str, Any], init: str | None = None, frozen_layers: int = 0) -> None:
        check_numbers(INDEX, frozen_layers=frozen_layers)
        super().__init__()
        transformers = require('transformers')
        settings = dict(config)
        made = transformers.AutoConfig.for_model(settings.pop('model_type'), **settings)
        self.model = transformers.AutoModel.from_config(made, **_without_pooler(made))
        self.init = init
        self.out_channels, self.num_tokens = made.hidden_size, made.vocab_size
        self.max_length = made.max_position_embeddings
        layers = getattr(getattr(self.model, 'encoder', None), 'layer', None)
        if layers is None:
            raise ValueError(
                f'{type(self.model).__name__} has no layers under encoder.layer: set model_type to bert, roberta or '
                'another type with the layout of BERT.'
            )
        freeze_first(self.model.embeddings, layers, frozen_layers)

    def init_weights(self) -> None:
        """Read the pre-trained weights, every key of the tower.

        Raises:
            ValueError: They cannot be loaded, or do not fit.
        """
        if self.init is None:
            return
        try:
            model = require('transformers').AutoModel.from_pretrained(self.init, **_without_pooler(self.model.config))
        except (OSError, ValueError) as error:
            raise ValueError(
                f'The text weights {self.init!r} cannot be loaded ({type(error).__name__}): set init of the '
                'text tower to a name on the hub, where there is internet, or to a folder with its files.'
            ) from error
        given, own = model.state_dict(), self.model.state_dict()
        if odd := [key for key in own if key not in given or given[key].shape != own[key].shape]:
            raise ValueError(
                f'{self.init} does not fit the text tower: {len(odd)} of {len(own)} weights differ, the first is '
                f'{odd[0]}; set config of the text tower to that of these weights.'
            )
        self.model.load_state_dict(given, strict=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features of every token: int64 ``(B, L)`` and bool ``(B, L)`` to ``(B, L, out_channels)``."""
        return self.model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state


def _without_pooler(config: Any) -> dict[str, bool]:
    """Leave out the layer that only BERT's classifiers need: it would get no gradient."""
    return {'add_pooling_layer': False} if config.model_type in ('bert', 'roberta', 'camembert') else {}
