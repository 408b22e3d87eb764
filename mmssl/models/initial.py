"""Initial weights of networks that find objects."""

from torch import nn


def start_weights(network: nn.Module) -> None:
    """Set the weights of all layers: Kaiming for convolutions, Xavier for linear layers, orthogonal within GRU cells.

    Biases start at 0. Weights that are no layer's (tokens, positions) are left as they are.

    Args:
        network: Changed in place.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity='relu')
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
        elif isinstance(layer, nn.GRUCell):
            nn.init.xavier_uniform_(layer.weight_ih)
            nn.init.orthogonal_(layer.weight_hh)
            nn.init.zeros_(layer.bias_ih)
            nn.init.zeros_(layer.bias_hh)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
