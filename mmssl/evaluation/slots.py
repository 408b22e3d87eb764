"""Measures of slots: do they follow the objects, and what do they know about them and their relations?"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from mmengine.device import get_device
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from mmssl.datasets import collate
from mmssl.datasets.sprites import COLOURS, SHAPES
from mmssl.datasets.workers import start_worker
from mmssl.evaluation.results import Measure, Result
from mmssl.functional import (
    explained_variance,
    foreground_rand_index,
    match_slots,
    property_costs,
    random_state_kept,
)
from mmssl.models import ObjectCentric, TransformerPool
from mmssl.models.modes import eval_mode

_CATEGORIES = (len(COLOURS), len(SHAPES))
_STEPS, _BATCH = 400, 256
_LINEAR_RATE, _POOL_RATE = 1e-2, 2e-3
_FG_ARI = 'Adjusted Rand index of the pixels that show an object, mean over the images; 1 is perfect, 0 is random.'
_PROPERTIES = (
    'A linear layer on each slot, trained on the gallery; each object has a slot of its own (Hungarian matching). R2 '
    'is 1 - squared error / squared deviation, mean over x and y.'
)
_RELATION = (
    'Where the odd one is: two transformer blocks over the slots and a linear layer, trained on the gallery; chance is '
    '25 %.'
)


@dataclass(frozen=True)
class Slots:
    """Slots of a data set, with the truth.

    Attributes:
        slots: float32, shape ``(N, K, D)``.
        found: Slot with the largest share of each pixel, int64, shape ``(N, H, W)``.
        segments: Object of each pixel, 0 for none, shape ``(N, H, W)``.
        objects: Colour, shape, x, y and size of each object, shape ``(N, n, 5)``.
        labels: Quadrant of the odd object, int64, shape ``(N,)``.
    """

    slots: Tensor
    found: Tensor
    segments: Tensor
    objects: Tensor
    labels: Tensor


@torch.no_grad()
def extract_slots(model: nn.Module, dataset: Dataset, batch_size: int = 100, num_workers: int = 0) -> Slots:
    """Find the slots of every scene of a data set.

    Args:
        model: A method with slots (:class:`~mmssl.models.SlotAttentionAE`, :class:`~mmssl.models.SLATE`).
        dataset: Whole scenes of :class:`~mmssl.datasets.SpriteScenes` with ``odd=True`` and ``truth=True``.
        batch_size: Scenes per step.
        num_workers: Loading processes.

    Returns:
        Slots and truth, on the CPU.

    Raises:
        ValueError: The model has no slots, or the data set has no truth.
    """
    if not isinstance(model, ObjectCentric):
        raise ValueError(f'{type(model).__name__} has no slots: give a checkpoint of SlotAttentionAE or SLATE.')
    parts, workers = [], {'num_workers': num_workers, 'worker_init_fn': start_worker}
    with eval_mode(model), random_state_kept():
        for batch in DataLoader(dataset, batch_size, collate_fn=collate, **workers):
            if 'segments' not in batch['extras'] or 'gt_label' not in batch:
                raise ValueError('The scenes come without the truth: give SpriteScenes(..., odd=True, truth=True).')
            images = model.data_preprocessor(batch)['inputs'][0]
            truth = batch['extras']['segments'], batch['extras']['objects'], batch['gt_label']
            rows = model.slots(images)[0], model.segments(images).argmax(dim=1), *truth
            parts.append([row.cpu() for row in rows])
    return Slots(*map(torch.cat, zip(*parts)))


def measure_slots(name: str, gallery: Slots, query: Slots) -> Result:
    """Measure slots: FG-ARI, properties of the objects, and which object is the odd one.

    Args:
        name: Name of the result.
        gallery: What the read-outs are trained on.
        query: What is measured.

    Returns:
        The measures.
    """
    gallery, query = _standardised(gallery, query)
    index = foreground_rand_index(query.segments, query.found).mean()
    measures = [Measure('FG-ARI', float(index), unit='', protocol=_FG_ARI, digits=3, short='FG-ARI')]
    with random_state_kept():
        torch.manual_seed(0)  # the read-outs start from the same weights for every network
        if query.slots.shape[1] >= query.objects.shape[1]:
            measures += _properties(gallery, query)
        odd = _odd_one(gallery, query)
    measures.append(Measure('odd one', odd, protocol=_RELATION, short='odd one'))
    sizes = {'gallery': len(gallery.labels), 'query': len(query.labels), 'dim': query.slots.shape[2]}
    return Result(name, tuple(measures), **sizes)


def _standardised(gallery: Slots, query: Slots) -> tuple[Slots, Slots]:
    mean, deviation = gallery.slots.mean(dim=(0, 1)), gallery.slots.std(dim=(0, 1)).clamp_min(1e-6)
    one, other = (replace(part, slots=(part.slots - mean) / deviation) for part in (gallery, query))
    return one, other


def _properties(gallery: Slots, query: Slots) -> list[Measure]:
    layer, known = nn.Linear(gallery.slots.shape[2], sum(_CATEGORIES) + 2), gallery.objects[..., :4]

    def loss(predicted: Tensor, rows: Tensor) -> Tensor:
        objects = known[rows.cpu()].to(predicted)
        return match_slots(property_costs(predicted, objects, _CATEGORIES)).costs.mean()

    layer = _trained(layer, gallery.slots, _LINEAR_RATE, loss)
    with torch.no_grad():
        predicted, true = layer(query.slots), query.objects[..., :4]
        slots = match_slots(property_costs(predicted, true, _CATEGORIES)).slots
        chosen = predicted.gather(1, slots[..., None].expand(-1, -1, predicted.shape[2]))
    colour, shape, place = chosen.split([*_CATEGORIES, 2], dim=2)
    right = [
        float((scores.argmax(dim=2) == true[..., number]).float().mean())
        for number, scores in enumerate((colour, shape))
    ]
    variance = float(explained_variance(true[..., 2:].flatten(0, 1), place.flatten(0, 1)).mean())
    return [
        Measure('colour of objects', 100 * right[0], protocol=_PROPERTIES),
        Measure('shape of objects', 100 * right[1], protocol=_PROPERTIES),
        Measure('place of objects', variance, unit='R2', protocol=_PROPERTIES, digits=3),
    ]


def _odd_one(gallery: Slots, query: Slots) -> float:
    """Accuracy of the relational read-out, in percent."""
    pool = TransformerPool(gallery.slots.shape[2], 64, depth=2, num_heads=4)
    network = nn.Sequential(pool, nn.Linear(pool.out_channels, int(gallery.labels.max()) + 1))

    def loss(scores: Tensor, rows: Tensor) -> Tensor:
        return cross_entropy(scores, gallery.labels.to(scores.device)[rows])

    network = _trained(network, gallery.slots, _POOL_RATE, loss)
    with torch.no_grad():
        scores = torch.cat([network(part) for part in query.slots.split(_BATCH)])
    return 100 * float((scores.argmax(dim=1) == query.labels).float().mean())


def _trained(network: nn.Module, slots: Tensor, rate: float, loss: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
    """Train a network on slots for a fixed number of steps; ``loss`` gets its output and the rows of the batch."""
    device = get_device()
    network, slots = network.to(device), slots.to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(_STEPS):
        rows = torch.randint(len(slots), (min(_BATCH, len(slots)),), generator=generator).to(device)
        optimizer.zero_grad()
        loss(network(slots[rows]), rows).backward()
        optimizer.step()
        schedule.step()
    return network.cpu().eval()
