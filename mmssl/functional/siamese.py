"""Loss of siamese methods without negatives: how far a prediction is from its target."""

from torch import Tensor
from torch.nn.functional import cosine_similarity

from mmssl.functional.precision import in_float32


@in_float32
def negative_cosine(predictions: Tensor, targets: Tensor) -> Tensor:
    """Negative cosine of predictions and their targets.

    Args:
        predictions: Shape ``(B, D)``, not normalised.
        targets: Shape ``(B, D)``, not normalised; no gradient flows into them.

    Returns:
        Scalar: mean over the batch, from -1 to 1.

    Source: SimSiam, eq. 1 (Chen and He, CVPR 2021).
    """
    return -cosine_similarity(predictions, targets.detach(), dim=1).mean()
