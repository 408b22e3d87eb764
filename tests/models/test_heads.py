"""Heads with weights of their own: how they start, and what they give."""

import torch

from mmssl.models import ClusterHead, Prototypes
from tests.helpers.mutation import Mutation


def test_a_cluster_head_starts_small_and_anew_by_the_seed_and_the_epoch_alone():
    torch.manual_seed(3)
    head, other = ClusterHead(200, 100), ClusterHead(200, 100)
    torch.nn.init.ones_(head.bias)
    starts = []
    for seed, epoch in ((0, 1), (0, 2), (1, 1)):
        head.restart(seed, epoch)
        torch.manual_seed(epoch)
        other.restart(seed, epoch)
        assert torch.equal(head.weight, other.weight) and not head.bias.any()
        starts.append(head.weight.detach().clone())
    assert abs(float(starts[0].std()) - 0.01) < 2e-4
    assert not torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])


def test_prototypes_become_unit_rows_that_point_where_they_did():
    head = Prototypes(8, 5)
    before = head.weight.detach().clone()
    head.normalise()
    torch.testing.assert_close(head.weight.detach(), before / before.norm(dim=1, keepdim=True))


def test_cosines_are_computed_in_float32_under_autocast():
    head, embeddings = Prototypes(64, 5), torch.randn(3, 64)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = head(embeddings)
    torch.testing.assert_close(found, embeddings @ head.weight.T)


MUTATIONS = [
    Mutation(
        'a classifier starts with the same weights after every clustering',
        'mmssl/models/heads/cluster_head.py',
        'hash_seed(seed, epoch,',
        'hash_seed(seed,',
    ),
    Mutation(
        'biases outlive a clustering',
        'mmssl/models/heads/cluster_head.py',
        '        self.bias.zero_()\n',
        '',
    ),
    Mutation(
        'fresh weights depend on the process',
        'mmssl/models/heads/cluster_head.py',
        'generator=torch.Generator().manual_seed(seed)',
        'generator=None',
    ),
    Mutation(
        'columns of the prototypes are made unit',
        'mmssl/models/heads/prototypes.py',
        'unit(self.weight)',
        'unit(self.weight.T).T',
    ),
    Mutation(
        'cosines with prototypes are computed in half precision',
        'mmssl/models/heads/prototypes.py',
        '@in_float32\n',
        '',
    ),
]
