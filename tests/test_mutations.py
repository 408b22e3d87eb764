"""The suite notices each of these one-line faults: a slow test puts them into a copy of the tree, one by one.

A method adds its own to ``MUTATIONS``: the file, the line as it is, the fault, and the tests that must turn red.
"""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.training import ROOT, environment


class Mutation(NamedTuple):
    """One fault: in ``file``, ``old`` becomes ``new``; then one of ``tests`` must fail."""

    fault: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    Mutation(
        'row sums are not reduced over the ranks',
        'mmssl/functional/sinkhorn.py',
        'mass = sum_over_ranks(codes.sum(dim=0), group)',
        'mass = codes.sum(dim=0)',
        'tests/functional/test_sinkhorn.py',
    ),
    Mutation(
        'the first row sums are not reduced over the ranks',
        'mmssl/functional/sinkhorn.py',
        'sum_over_ranks((logits - largest).exp().sum(dim=0), group).log()',
        '(logits - largest).exp().sum(dim=0).log()',
        'tests/functional/test_sinkhorn.py',
    ),
    Mutation(
        'a pair of scalings too many',
        'mmssl/functional/sinkhorn.py',
        'range(iterations - 1)',
        'range(iterations)',
        'tests/functional/test_sinkhorn.py',
    ),
    Mutation(
        'prototypes are not normalised',
        'mmssl/models/algorithms/swav.py',
        '        self.prototypes.normalise()\n',
        '',
        'tests/models/test_swav.py',
    ),
    Mutation(
        'embeddings are not normalised',
        'mmssl/models/algorithms/swav.py',
        'list(unit(self.neck(features)).chunk(len(inputs)))',
        'list(self.neck(features).chunk(len(inputs)))',
        'tests/models/test_swav.py',
    ),
    Mutation(
        'the queue is fed whole on each rank',
        'mmssl/models/algorithms/swav.py',
        '.rows[rank() :: world_size()]',
        '.rows',
        'tests/models/test_swav.py',
    ),
    Mutation(
        'the queue is used before it is full',
        'mmssl/models/algorithms/swav.py',
        'if self.queues and self.queues[place].full:',
        'if self.queues:',
        'tests/models/test_swav.py',
    ),
    Mutation(
        'the codes are those of the queue',
        'mmssl/models/algorithms/swav.py',
        '[: len(scores)]',
        '[-len(scores) :]',
        'tests/models/test_swav.py',
    ),
    Mutation(
        'codes carry gradient',
        'mmssl/functional/sinkhorn.py',
        '@torch.no_grad()\n',
        '',
        'tests/functional/test_sinkhorn.py tests/models/test_swav.py',
    ),
    Mutation(
        'a view is predicted from itself',
        'mmssl/functional/swapped_prediction.py',
        'if view != assigned]',
        'if view >= 0]',
        'tests/functional/test_swapped_prediction.py',
    ),
    Mutation(
        'rows of other ranks do not reach the queue',
        'mmssl/models/memories/queue.py',
        'gather(torch.cat(self._staged))',
        'torch.cat(self._staged)',
        'tests/models/test_memories.py',
    ),
    Mutation(
        'the ring does not move',
        'mmssl/models/memories/queue.py',
        'self.head.copy_((self.head + len(rows)) % len(self))',
        'pass',
        'tests/models/test_memories.py',
    ),
    Mutation(
        'staging writes at once',
        'mmssl/models/memories/queue.py',
        'self._staged.append(rows.detach())',
        'self._staged.append(rows.detach()); self.commit()',
        'tests/models/test_memories.py',
    ),
    Mutation(
        'memories commit before the step',
        'mmssl/engine/hooks/memory_hook.py',
        'def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None)',
        'def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None)',
        'tests/engine/test_hooks.py',
    ),
    Mutation(
        'memories learn from a skipped step',
        'mmssl/engine/hooks/memory_hook.py',
        'if runner.optim_wrapper.stepped:',
        'if True:',
        'tests/engine/test_hooks.py',
    ),
    Mutation(
        'gradients are dropped for one step too few',
        'mmssl/engine/hooks/gradient_drop_hook.py',
        'runner.steps < self.steps',
        'runner.steps + 1 < self.steps',
        'tests/engine/test_hooks.py',
    ),
    Mutation(
        'each rank decides alone whether to skip',
        'mmssl/engine/optimizers/optim_wrapper.py',
        'bool(max_over_ranks(self._nonfinite))',
        'bool(self._nonfinite)',
        'tests/engine/test_schedules_and_wrapper.py',
    ),
    Mutation(
        'weight decay is missing in the denominator of LARC',
        'mmssl/engine/optimizers/lars.py',
        "(norm + group['weight_decay'] * weight_norm + group['eps'])",
        "(norm + group['eps'])",
        'tests/engine/test_optimizers.py',
    ),
    Mutation(
        'the warm-up ends a step late',
        'mmssl/functional/schedules.py',
        'warmup_steps - int(warmup_reaches_base)',
        'warmup_steps',
        'tests/functional/test_schedules.py',
    ),
    Mutation(
        'the keys of a seed are added, not mixed',
        'mmssl/functional/randomness.py',
        '        state ^= state >> 31\n',
        '        state = sum(keys)\n',
        'tests/functional/test_randomness.py',
    ),
    Mutation(
        'half precision is cast back after the product',
        'mmssl/functional/precision.py',
        'return function(*map(_to_float32, args)',
        'return function(*args',
        'tests/functional',
    ),
    Mutation(
        'an iteration is not seeded',
        'mmssl/engine/loops.py',
        '        _seed_iteration(self.runner.seed, self._iter)\n',
        '',
        'tests/engine/test_resume.py -k "2-1"',
    ),
    Mutation(
        'a resumed epoch starts at its beginning',
        'mmssl/engine/loops.py',
        'sampler.set_start(self.samples_seen)',
        'sampler.set_start(0)',
        'tests/engine/test_resume.py -k "by_one_process and swav"',
    ),
    Mutation(
        'the old checkpoint is not kept until the new one is whole',
        'mmssl/checkpoint.py',
        "temporary = path.with_name(f'.checkpoint{place}.tmp')",
        'temporary = path',
        'tests/engine/test_resume.py -k killed',
    ),
    Mutation(
        'views of other ranks get no gradient',
        'mmssl/functional/collectives.py',
        'sum_over_ranks(gradient, context.group).split',
        'gradient.split',
        'tests/functional/test_contrast.py',
    ),
    Mutation(
        'a view is its own negative',
        'mmssl/functional/contrast.py',
        'logits.scatter(1, itself[:, None], -torch.inf)',
        'logits',
        'tests/functional/test_contrast.py',
    ),
    Mutation(
        'unequal batches count alike',
        'mmssl/models/algorithms/base.py',
        'return length * len(lengths) / sum(lengths)',
        'return 1.0',
        'tests/models/test_moco.py',
    ),
    Mutation(
        'neighbours of neighbours are not followed',
        'mmssl/functional/neighbors.py',
        'neighbors[levels[-1]]',
        'neighbors[levels[0]]',
        'tests/functional/test_neighbors.py',
    ),
    Mutation(
        'a sample reaches itself',
        'mmssl/functional/neighbors.py',
        ' & (reached != indices[:, None])',
        '',
        'tests/functional/test_neighbors.py',
    ),
    Mutation(
        'a sample is its own neighbour',
        'mmssl/functional/neighbors.py',
        'torch.where(rows == indices[:, None], rows[:, -1:], rows)[:, :-1]',
        'rows[:, :-1]',
        'tests/functional/test_neighbors.py',
    ),
    Mutation(
        'the bank mixes its rows with wrong weights',
        'mmssl/functional/neighbors.py',
        'weights = gradient.to(bank.dtype)',
        'weights = gradient.abs().to(bank.dtype)',
        'tests/functional/test_neighbors.py',
    ),
    Mutation(
        'the first of two occurrences counts',
        'mmssl/models/memories/feature_bank.py',
        'last[:-1] = ordered[1:] != ordered[:-1]',
        'last[1:] = ordered[1:] != ordered[:-1]',
        'tests/models/test_memories.py',
    ),
    Mutation(
        'momentum weighs the new row',
        'mmssl/models/memories/feature_bank.py',
        'rows.lerp(old.to(rows.dtype), self.momentum)',
        'rows.lerp(old.to(rows.dtype), 1 - self.momentum)',
        'tests/models/test_memories.py',
    ),
    Mutation(
        'rows of a bank are not made unit',
        'mmssl/models/memories/feature_bank.py',
        'unit(rows.lerp(old.to(rows.dtype), self.momentum))',
        'rows.lerp(old.to(rows.dtype), self.momentum)',
        'tests/models/test_memories.py',
    ),
    Mutation(
        'rows of other ranks do not reach the bank',
        'mmssl/models/memories/feature_bank.py',
        'gather(torch.cat(parts) if len(parts) > 1 else parts[0])',
        '(torch.cat(parts) if len(parts) > 1 else parts[0])',
        'tests/models/test_memories.py',
    ),
    Mutation(
        'the teacher forgets at the pace of its momentum',
        'mmssl/models/memories/ema_teacher.py',
        'slow.mul_(self.momentum).add_(fast, alpha=1 - self.momentum)',
        'slow.mul_(1 - self.momentum).add_(fast, alpha=self.momentum)',
        'tests/models/test_memories.py',
    ),
    Mutation(
        'the teacher moves after a skipped step',
        'mmssl/models/memories/ema_teacher.py',
        '        """Leave the students alone at the next commit."""\n        self._staged = False\n',
        '        """Leave the students alone at the next commit."""\n',
        'tests/models/test_memories.py',
    ),
    Mutation(
        'each rank estimates the constant of NPID alone',
        'mmssl/models/algorithms/npid.py',
        'mean_over_ranks(likelihoods)',
        'likelihoods.detach().mean()',
        'tests/models/test_npid.py',
    ),
    Mutation(
        'the momentum of a teacher is a step late',
        'mmssl/engine/hooks/schedule_hook.py',
        'step + self.ahead - self.begin',
        'step - self.begin',
        'tests/engine/test_hooks.py',
    ),
    Mutation(
        'keys stay on their rank',
        'mmssl/functional/shuffle.py',
        'world_size(group) == 1',
        'True',
        'tests/models/test_moco.py',
    ),
    Mutation(
        'queries stand in the queue',
        'mmssl/models/algorithms/moco.py',
        'self.queue.stage(keys)',
        'self.queue.stage(queries)',
        'tests/models/test_moco.py',
    ),
    Mutation(
        'the teacher starts from other weights',
        'mmssl/models/memories/ema_teacher.py',
        'network.load_state_dict(student.state_dict())',
        'pass',
        'tests/models/test_moco.py',
    ),
    Mutation(
        'the constant of NPID is estimated in every step',
        'mmssl/models/memories/first_value.py',
        'not self.value and ',
        '',
        'tests/models/test_npid.py tests/models/test_memories.py',
    ),
    Mutation(
        'negatives are not a function of the draw',
        'mmssl/models/algorithms/npid.py',
        'hash_draws(hash_seed(self.seed, _NEGATIVES), draws, self.num_negatives) % len(self.bank)',
        'torch.randint(len(self.bank), (len(draws), self.num_negatives))',
        'tests/models/test_npid.py',
    ),
    Mutation(
        'positives are the easy ones',
        'mmssl/models/algorithms/invp.py',
        'distant.topk(count, dim=1, largest=False)',
        'distant.topk(count, dim=1)',
        'tests/models/test_invp.py',
    ),
    Mutation(
        "the sample's own row stays in the background",
        'mmssl/functional/invariance.py',
        'background = background + torch.log1p',
        'background + torch.log1p',
        'tests/models/test_invp.py',
    ),
    Mutation(
        'reached samples are negatives of the paper',
        'mmssl/models/algorithms/invp.py',
        'contains(torch.cat([reached, itself], dim=1), rows)',
        'rows < 0',
        'tests/models/test_invp.py',
    ),
    Mutation(
        'sums keep the old rows',
        'mmssl/models/memories/cluster_memory.py',
        'self._move(sample_idx, after, old, new)',
        'self._move(sample_idx, after, new, new)',
        'tests/models/test_cluster_memory.py',
    ),
    Mutation(
        'counts are not carried along',
        'mmssl/models/memories/cluster_memory.py',
        'torch.cat([-ones, ones])',
        'torch.cat([ones, ones])',
        'tests/models/test_cluster_memory.py',
    ),
    Mutation(
        'samples go to unit centroids',
        'mmssl/models/memories/cluster_memory.py',
        'most_similar(new.to(self.centroids.dtype), self.centroids)',
        'most_similar(new.to(self.centroids.dtype), unit(self.centroids))',
        'tests/models/test_cluster_memory.py',
    ),
    Mutation(
        'members of small clusters go to small clusters',
        'mmssl/models/memories/cluster_memory.py',
        'torch.ones_like(self.counts, dtype=torch.bool).index_fill(0, small, False)',
        'torch.ones_like(self.counts, dtype=torch.bool)',
        'tests/models/test_cluster_memory.py',
    ),
    Mutation(
        'centroids of a split stay',
        'mmssl/models/memories/cluster_memory.py',
        '        self.centroids[pair] = self._means(self.sums[pair], self.counts[pair])\n',
        '',
        'tests/models/test_cluster_memory.py',
    ),
    Mutation(
        'k-means runs again after a restart',
        'mmssl/models/memories/cluster_memory.py',
        'not due <= int(self.prepared) <= epoch',
        'not due < int(self.prepared) <= epoch',
        'tests/models/test_cluster_memory.py',
    ),
    Mutation(
        'offline labels follow',
        'mmssl/models/memories/cluster_memory.py',
        '        if not self.online:\n            return\n        before',
        '        before',
        'tests/models/test_cluster_memory.py',
    ),
    Mutation(
        'large clusters weigh more',
        'mmssl/functional/clusters.py',
        '.float() ** -power',
        '.float() ** power',
        'tests/functional/test_clusters.py',
    ),
    Mutation(
        'weights are averaged within a rank',
        'mmssl/functional/clusters.py',
        '/ mean_over_ranks(own)',
        '/ own.mean()',
        'tests/functional/test_clusters.py',
    ),
    Mutation(
        'negatives of the own cluster',
        'mmssl/functional/inter_image.py',
        'luck.masked_fill(own, _NEVER)',
        'luck',
        'tests/functional/test_clusters.py tests/models/test_interclr.py',
    ),
    Mutation(
        'others are one off',
        'mmssl/functional/inter_image.py',
        'torch.searchsorted(before, place, right=True)',
        'torch.searchsorted(before, place)',
        'tests/functional/test_clusters.py',
    ),
    Mutation(
        'the margin has the other sign',
        'mmssl/functional/inter_image.py',
        '    return cosines - margin\n',
        '    return cosines + margin\n',
        'tests/functional/test_clusters.py tests/models/test_interclr.py',
    ),
    Mutation(
        'negatives depend on the place in the pool',
        'mmssl/models/heads/inter_image_head.py',
        'hash_places(seed, batch.draw[some], pool)',
        'hash_places(seed, batch.draw[some], pool.argsort(dim=1).argsort(dim=1) * 0 + torch.arange(pool.shape[1]))',
        'tests/models/test_interclr.py',
    ),
    Mutation(
        'queries feed the clusters',
        'mmssl/models/algorithms/interclr.py',
        'stage(batch.sample_idx, keys)',
        'stage(batch.sample_idx, queries)',
        'tests/models/test_interclr.py',
    ),
    Mutation(
        'the classifier is not started anew',
        'mmssl/models/algorithms/deepcluster.py',
        '        self.head.restart(self.seed, epoch)\n',
        '        return\n',
        'tests/models/test_odc.py',
    ),
    Mutation(
        'raw embeddings enter the bank',
        'mmssl/models/algorithms/odc.py',
        'stage(batch.sample_idx, unit(embeddings))',
        'stage(batch.sample_idx, embeddings)',
        'tests/models/test_odc.py',
    ),
    Mutation(
        'labels are read once for the whole run',
        'mmssl/datasets/samplers.py',
        '        labels = self.memory.labels.cpu().numpy()\n',
        "        labels = self.__dict__.setdefault('known', self.memory.labels.cpu().numpy().copy())\n",
        'tests/datasets/test_samplers.py',
    ),
    Mutation(
        'an angle for every view',
        'mmssl/datasets/transforms/views.py',
        'self.rotate * (2 * numbers[-1] - 1)',
        'self.rotate',
        'tests/datasets/test_views.py',
    ),
    Mutation(
        'positive pairs at the threshold',
        'mmssl/functional/pixels.py',
        '[:, None, None] < threshold',
        '[:, None, None] <= 1.01 * threshold',
        'tests/functional/test_pixels.py',
    ),
    Mutation(
        'flipped views keep their columns',
        'mmssl/datasets/transforms/views.py',
        'return [x1, y0, x0, y1] if draw.flip else [x0, y0, x1, y1]',
        'return [x0, y0, x1, y1]',
        'tests/datasets/test_views.py',
    ),
    Mutation(
        'similarities below 0 count',
        'mmssl/functional/pixels.py',
        '(pixels.transpose(1, 2) @ pixels).clamp_min(0)',
        '(pixels.transpose(1, 2) @ pixels)',
        'tests/functional/test_pixels.py',
    ),
    Mutation(
        'values are not normalised',
        'mmssl/functional/pixels.py',
        'mixed = normalize(values, dim=1).flatten(2)',
        'mixed = values.flatten(2)',
        'tests/functional/test_pixels.py',
    ),
    Mutation(
        'a view is compared with its own teacher',
        'mmssl/models/algorithms/pixpro.py',
        'self.compare(seen[v], taught[1 - v], batch.boxes[[v, 1 - v]])',
        'self.compare(seen[v], taught[v], batch.boxes[[v, 1 - v]])',
        'tests/models/test_pixpro.py',
    ),
    Mutation(
        'boxes of the views change places',
        'mmssl/models/algorithms/pixpro.py',
        'self.compare(seen[v], taught[1 - v], batch.boxes[[v, 1 - v]])',
        'self.compare(seen[v], taught[1 - v], batch.boxes[[1 - v, v]])',
        'tests/models/test_pixpro.py',
    ),
    Mutation(
        'keys are matched by their embeddings',
        'mmssl/models/algorithms/densecl.py',
        'places = match_pixels(features, taught)',
        'places = match_pixels(pixels, taught_pixels)',
        'tests/models/test_densecl.py',
    ),
    Mutation(
        "a table's gradient is averaged once too little",
        'mmssl/functional/table.py',
        'piece.lengths * world_size(group)',
        'piece.lengths',
        'tests/functional/test_table.py',
    ),
    Mutation(
        'rows of a table are not normalised in the gradient',
        'mmssl/functional/table.py',
        'rows_gradient - along * piece.rows',
        'rows_gradient',
        'tests/functional/test_table.py',
    ),
    Mutation(
        'each rank counts its own classes only',
        'mmssl/functional/table.py',
        'sum_over_ranks((total - largest).exp(), group).log()',
        '(total - largest).exp().log()',
        'tests/functional/test_table.py',
    ),
    Mutation(
        'labels are learned in the epoch that finds them',
        'mmssl/models/memories/constrained_clusters.py',
        'self.labels[sample_idx].long() if self.epoch else self.assign(features)',
        'self.assign(features)',
        'tests/models/test_coke.py',
    ),
    Mutation(
        'prices are forgotten at the end of an epoch',
        'mmssl/models/memories/constrained_clusters.py',
        '        self.counts.zero_()\n',
        '        self.counts.zero_()\n        self.duals.zero_()\n',
        'tests/models/test_coke.py',
    ),
    Mutation(
        'an epoch that is resumed begins anew',
        'mmssl/models/memories/constrained_clusters.py',
        'if epoch == ended:',
        'if False:',
        'tests/models/test_coke.py',
    ),
    Mutation(
        "a view learns its own probabilities, not the other's",
        'mmssl/models/algorithms/coke.py',
        'taught[1 - view]',
        'taught[view]',
        'tests/models/test_coke.py',
    ),
    Mutation(
        'a window wraps around itself instead of the data',
        'mmssl/datasets/samplers.py',
        ') % self.total',
        ') % self.num_samples',
        'tests/datasets/test_samplers.py',
    ),
    Mutation(
        'a missing key is let pass',
        'mmssl/weights.py',
        'if match.matched < match.total:',
        'if not match.matched:',
        'tests/export/test_export.py',
    ),
    Mutation(
        'further levels of a pyramid are written over its first ones',
        'mmssl/export/export.py',
        "level = int(place) + (taken if kind == 'extra' else 0)",
        'level = int(place)',
        'tests/transfer/test_pretrained.py',
    ),
    Mutation(
        'a pyramid that does not fit is passed over',
        'mmssl/transfer/pretrained.py',
        "if lost or not all(key in pyramid for key in own if key.startswith('lateral_convs.')):",
        'if False:',
        'tests/transfer/test_pretrained.py',
    ),
    Mutation(
        'the extra norm of C4 is left out',
        'mmssl/transfer/mmdetection.py',
        'return self.norm(super().forward(regions))',
        'return super().forward(regions)',
        'tests/transfer/test_pretrained.py',
    ),
    Mutation(
        'the gradient of the class table keeps the scale of mixed precision',
        'mmssl/models/memories/class_table.py',
        'self._trained.grad.div_(self.loss_scale)',
        'self._trained.grad',
        'tests/models/test_class_table.py',
    ),
    Mutation(
        'small views train the class table',
        'mmssl/models/algorithms/instance_classification.py',
        'batch.sample_idx, rows.detach())',
        'batch.sample_idx, rows)',
        'tests/models/test_instance_classification.py',
    ),
    Mutation(
        'a class is among its own hard classes',
        'mmssl/functional/table.py',
        'found[torch.arange(len(some)), some] = -torch.inf',
        'pass',
        'tests/models/test_class_table.py',
    ),
    Mutation(
        'the velocity of the class table is not saved',
        'mmssl/models/memories/class_table.py',
        "sharded = ('rows', 'velocity', 'hard')",
        "sharded = ('rows', 'hard')",
        'tests/engine/test_shards.py',
    ),
    Mutation(
        'the first rows of the class table depend on the rank',
        'mmssl/models/memories/class_table.py',
        'hash_seed(self.seed, _START, block)',
        'hash_seed(self.seed, _START, rank())',
        'tests/models/test_class_table.py',
    ),
    Mutation(
        'a checkpoint whose parts are missing counts as readable',
        'mmssl/checkpoint.py',
        '            read_parts(checkpoint, path)\n            return path, checkpoint',
        '            return path, checkpoint',
        'tests/engine/test_shards.py',
    ),
    Mutation(
        'the pass that starts the class table leaves the statistics of batch norm',
        'mmssl/evaluation/features.py',
        '            module.train()',
        '            pass',
        'tests/models/test_class_table.py',
    ),
    Mutation(
        'resumed rows begin at the wrong class',
        'mmssl/engine/shards.py',
        'start += len(piece)',
        'start += 1',
        'tests/engine/test_shards.py',
    ),
    Mutation(
        'a download is continued although the file on the server has changed',
        'mmssl/apis/download.py',
        'if resumed and (sent != version or not',
        'if resumed and (not',
        'tests/apis/test_download.py',
    ),
    Mutation(
        'a file is kept although its hash is wrong',
        'mmssl/apis/download.py',
        '    if not found.startswith(wanted):\n        path.unlink()',
        '    if not found.startswith(wanted):\n        pass',
        'tests/apis/test_download.py',
    ),
    Mutation(
        'of MoCo the momentum encoder is taken',
        'mmssl/weights.py',
        '    known = [prefix for prefix in LAYOUTS if prefix in found]',
        '    known = []',
        'tests/export/test_convert.py',
    ),
    Mutation(
        'an image that cannot be read is replaced by another in the features of a folder',
        'mmssl/apis/features.py',
        'dataset = _EachAsGiven(',
        'dataset = ImageDataset(',
        'tests/apis/test_features.py',
    ),
    Mutation(
        'an error sentence changes and the page that quotes it does not',
        'mmssl/engine/loops.py',
        'The loss is not finite at iteration',
        'The loss became NaN at iteration',
        'tests/test_documents.py',
    ),
    Mutation(
        'the memories are left out of the reference',
        'docs/api/memories.rst',
        '.. api:: mmssl.models.memories mmssl.models',
        '',
        'tests/test_documents.py',
    ),
    Mutation(
        'a page links to a heading that is not there',
        'docs/own_folder.md',
        '(troubleshooting.md#slow-data)',
        '(troubleshooting.md#slow-loading)',
        'tests/test_documents.py',
    ),
    Mutation(
        'the page on own folders forgets one of the places where channels are said',
        'docs/own_folder.md',
        '    part.update(channels=1)\n',
        '',
        'tests/test_own_folder.py',
    ),
    Mutation(
        'a frozen backbone is put into training mode',
        'mmssl/evaluation/linear_classifier.py',
        '        if self.frozen:\n            self.backbone.eval()',
        '        pass',
        'tests/evaluation/test_linear_classifier.py',
    ),
    Mutation(
        'the classifier on the stem sees it after max-pooling',
        'mmssl/models/backbones/resnet.py',
        'stages = [self.relu(self.bn1(self.conv1(images)))]',
        'stages = [self.maxpool(self.relu(self.bn1(self.conv1(images))))]',
        'tests/evaluation/test_linear_classifier.py',
    ),
    Mutation(
        'classes that only the folders name do not count',
        'mmssl/evaluation/linear.py',
        '(int(max(found.max() for found in labels)) + 1, len(names[0] or ()))',
        '(int(max(found.max() for found in labels)) + 1, 0)',
        'tests/evaluation/test_linear.py',
    ),
    Mutation(
        'sets that number their classes differently are taken',
        'mmssl/evaluation/linear.py',
        'if None not in names and names[0] != names[1]:',
        'if False:',
        'tests/evaluation/test_linear.py',
    ),
    Mutation(
        'cached features do not depend on the weights',
        'mmssl/probe/cache.py',
        '        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)\n',
        '',
        'tests/probe/test_cache.py',
    ),
    Mutation(
        'cached features do not depend on the time of change of the images',
        'mmssl/probe/cache.py',
        'return stat.st_size, stat.st_mtime_ns',
        'return stat.st_size, 0',
        'tests/probe/test_cache.py',
    ),
    Mutation(
        'candidates in float32 are taken for the nearest without proof',
        'mmssl/evaluation/knn.py',
        'unsure = cosines[:, -1] <= least.double() + rounding_bound(gallery.shape[1])',
        'unsure = cosines[:, -1] < -1',
        'tests/evaluation/test_knn.py',
    ),
    Mutation(
        'the reference treats difficult images as negatives of the training, not of the test',
        'mmssl/evaluation/svm.py',
        'counted = targets != IGNORED',
        'counted = targets != 2',
        'tests/evaluation/test_svm.py',
    ),
    Mutation(
        'monitors look however long it takes',
        'mmssl/engine/hooks/monitor_hook.py',
        'needed <= self.share * passed',
        'needed < float("inf")',
        'tests/engine/test_monitors.py',
    ),
    Mutation(
        'each process decides by its own clock whether a monitor looks',
        'mmssl/engine/hooks/monitor_hook.py',
        'bool(broadcast(cheap.int(), 0))',
        'bool(cheap)',
        'tests/engine/test_monitors.py',
    ),
    Mutation(
        'monitors see the features of the first look for ever',
        'mmssl/evaluation/fixed_part.py',
        'if step != self._step:',
        'if self._step is None:',
        'tests/evaluation/test_fixed_part.py',
    ),
    Mutation(
        'collapse is judged without the untrained network',
        'mmssl/evaluation/collapse.py',
        "_LEFT**2 * (1 - start['mean_cosine'])",
        '0.1',
        'tests/evaluation/test_collapse_and_usage.py',
    ),
    Mutation(
        'of many candidates in one part the first are taken, not the nearest',
        'mmssl/evaluation/knn.py',
        'values[many], columns[many] =',
        '_, _ =',
        'tests/evaluation/test_knn.py',
    ),
]


def _mutated(mutation: Mutation, folder: Path) -> Path:
    tree = folder / 'tree'
    ignore = shutil.ignore_patterns('.git', '.venv', 'work_dirs', 'data', '__pycache__', '.pytest_cache', '.ruff_cache')
    shutil.copytree(ROOT, tree, symlinks=True, ignore=ignore)
    file = tree / mutation.file
    text = file.read_text()
    assert text.count(mutation.old) == 1, f'{mutation.file} has the line {text.count(mutation.old)} times, not once'
    file.write_text(text.replace(mutation.old, mutation.new))
    return tree


@pytest.fixture(scope='module')
def pytest_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path, str], tuple[int, str]]]:
    """Run tests of a copy of the tree; gives pytest's exit status and what it printed."""
    log = tmp_path_factory.mktemp('forked') / 'log.txt'
    program = [sys.executable, str(ROOT / 'tests/forked_pytest.py')]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as server:

        def run(tree: Path, tests: str) -> tuple[int, str]:
            # A hanging test turns red before this one does, or its answer would be taken for the next one's.
            arguments = ['-x', '-q', '--timeout=300', *shlex.split(tests)]
            request = {'folder': str(tree), 'arguments': arguments, 'log': str(log)}
            log.unlink(missing_ok=True)
            server.stdin.write(json.dumps(request) + '\n')
            server.stdin.flush()
            return int(server.stdout.readline()), log.read_text()

        yield run


@pytest.mark.slow
@pytest.mark.parametrize('mutation', MUTATIONS, ids=lambda mutation: mutation.fault.replace(' ', '_'))
def test_the_suite_turns_red(mutation: Mutation, tmp_path: Path, pytest_in: Callable):
    if mutation.tests.startswith('tests/transfer'):
        pytest.importorskip('mmcv._ext', reason='bash tools/install_transfer.sh installs what is missing')
    status, said = pytest_in(_mutated(mutation, tmp_path), mutation.tests)
    assert status == 1, f'not noticed: {mutation.fault}\n{said[-4000:]}'
    assert ' failed' in said, f'{mutation.fault}: the tests could not be run\n{said[-4000:]}'
