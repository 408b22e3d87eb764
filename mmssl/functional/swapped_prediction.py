"""SwAV's loss: predict the code of one view from every other view."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import log_softmax

from mmssl.functional.precision import in_float32


@in_float32
def swapped_prediction(
    scores: Sequence[Tensor], codes: Sequence[Tensor], assigned_views: Sequence[int], temperature: float = 0.1
) -> Tensor:
    """Cross-entropy of the codes of some views against the predictions of all others.

    Args:
        scores: One ``(B, K)`` tensor per view: cosines with the prototypes.
        codes: One ``(B, K)`` tensor per view in ``assigned_views``; rows sum to 1.
        assigned_views: Indices in ``scores`` of the views that the codes belong to.
        temperature: Divides the scores; positive.

    Returns:
        Scalar: mean over assigned views, other views and samples.

    Source: SwAV, eq. 2 and section 3.2 (Caron et al., NeurIPS 2020).
    """
    log_predictions = [log_softmax(score / temperature, dim=1) for score in scores]
    total = scores[0].new_zeros(())
    for assigned, code in zip(assigned_views, codes):
        others = [prediction for view, prediction in enumerate(log_predictions) if view != assigned]
        total = total - sum((code * prediction).sum(dim=1).mean() for prediction in others) / len(others)
    return total / len(assigned_views)
