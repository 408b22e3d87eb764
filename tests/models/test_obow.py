"""OBoW: golden vectors of the authors' code, invariants, world sizes, patches."""

import sys

import pytest
import torch
from torch import nn

from mmssl.datasets import Batch
from mmssl.functional import (
    bag_divergence,
    bag_of_words,
    local_averages,
    perplexity,
    schedules,
    word_codes,
    word_distances,
)
from mmssl.models import BagOfWordsHead, OBoW, Vocabulary
from tests.conftest import golden
from tests.helpers.mutation import Mutation
from tests.parity import UNEQUAL, check


def _at(places, monkeypatch):
    """Let the next words be taken from these places, one tensor per level."""
    following = iter(places)
    monkeypatch.setattr('mmssl.models.memories.vocabulary.hash_draws', lambda *_: next(following)[:, None])


def _below(case, prefix):
    return {key.removeprefix(prefix): value for key, value in case.items() if key.startswith(prefix)}


@pytest.mark.parametrize('mode', ['max', 'avg', 'hard'])
def test_five_steps_of_a_vocabulary_are_those_of_the_authors_code(mode, monkeypatch):
    case = golden(f'obow/bow_extractor_{mode}.npz')
    inv_delta = None if mode == 'hard' else float(case['inv_delta'])
    memory = Vocabulary(12, 6, inv_delta, 'mean' if mode == 'avg' else 'max')
    memory.words.copy_(case['emb0'])
    for step in range(5):
        maps = case[f's{step}_feat']
        bags, nearest = memory.bags(maps)
        torch.testing.assert_close(bags, case[f's{step}_bow'], rtol=0, atol=2e-6)
        inner = maps[:, :, 1:-1, 1:-1]
        sharpness = None if inv_delta is None else inv_delta / case[f's{step}_mdm']
        codes = word_codes(word_distances(inner, memory.words), sharpness)
        torch.testing.assert_close(codes.transpose(1, 2).view(3, 12, 5, 5), case[f's{step}_codes'], rtol=0, atol=5e-6)
        _at([case[f's{step}_loc']], monkeypatch)
        memory.stage(maps, torch.arange(3), nearest)
        memory.commit()
        torch.testing.assert_close(memory.words, case[f's{step}_emb'], rtol=0, atol=1e-6)
        torch.testing.assert_close(memory.distance, case[f's{step}_mdm'][0], rtol=0, atol=1e-6)
        assert int(memory.head) == int(case[f's{step}_ptr'])
    memory.eval()
    bags, _ = memory.bags(case['eval_feat'])
    torch.testing.assert_close(bags, case['eval_bow'], rtol=0, atol=2e-6)
    torch.testing.assert_close(memory.words, case['eval_emb'], rtol=0, atol=1e-6)


def _load(head, case, prefix):
    for level, generator in enumerate(head.generators):
        layers = generator.layers
        for ours, theirs in ((layers.linear1, 'fc'), (layers.norm1, 'bn'), (layers.linear2, 'last_layer')):
            for kind in ('weight', 'bias'):
                key = f'{prefix}layers_w.{level}.b{level}_{theirs}.{kind}'
                if key in case:
                    getattr(ours, kind).data = case[key].clone()


def test_predicted_words_the_loss_and_its_gradients_are_those_of_the_authors_code():
    case = golden('obow/bow_predictor_and_loss.npz')
    head = BagOfWordsHead(10, [4, 6], scale=float(case['kappa']))
    _load(head, case, 'param_')
    weights = head([case['dict0'], case['dict1']])
    features, total = [], torch.zeros(())
    for crop, count in ((0, 2), (1, 5)):
        rows = case[f'feat{crop}'].flatten(1).clone().requires_grad_()
        scores = head.scores(rows, weights)
        for level in (0, 1):
            torch.testing.assert_close(weights[level], case[f'weight_level{level}'], rtol=0, atol=2e-6)
            torch.testing.assert_close(scores[level], case[f'logits_crop{crop}_level{level}'], rtol=0, atol=2e-5)
        targets = [case[f'target_level{level}'].repeat_interleave(count, dim=0) for level in (0, 1)]
        loss = bag_divergence(scores, targets)
        torch.testing.assert_close(loss, case[f'loss_crop{crop}'], rtol=0, atol=1e-5)
        total = total + loss
        features.append(rows)
    torch.testing.assert_close(total, case['total'], rtol=0, atol=1e-5)
    total.backward()
    for crop, rows in enumerate(features):
        torch.testing.assert_close(rows.grad, case[f'grad_feat{crop}'].flatten(1), rtol=0, atol=2e-6)
    for level, generator in enumerate(head.generators):
        for ours, theirs in ((generator.layers.linear1, 'fc'), (generator.layers.linear2, 'last_layer')):
            key = f'gradparam_layers_w.{level}.b{level}_{theirs}.weight'
            torch.testing.assert_close(ours.weight.grad, case[key], rtol=0, atol=2e-5)
    for level in (0, 1):
        bags = case[f'target_level{level}']
        # Their code adds 1e-5 to each of the 12 shares.
        assert float(perplexity(bags.mean(dim=0))) == pytest.approx(float(case['perp_batch'][level]), rel=2e-4)
        assert float(perplexity(bags).mean()) == pytest.approx(float(case['perp_img'][level]), rel=2e-4)


class _Two(nn.Module):
    """The stand-in of the golden file: two convolutions with ReLU, both maps."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.Conv2d(4, 6, 3, padding=1)

    def forward(self, images):
        first = self.c1(images).relu()
        return first, self.c2(first).relu()


def test_three_steps_are_those_of_the_authors_code(monkeypatch):
    case = golden('obow/full_three_steps.npz')
    head = BagOfWordsHead(6, [4, 6])
    _load(head, case, 'init_bow_predictor.')
    memories = [Vocabulary(12, 4), Vocabulary(12, 6)]
    backbone = _Two()
    backbone.load_state_dict(_below(case, 'init_feature_extractor.'))
    model = OBoW(backbone, head, memories)
    model.allocate(12)
    for level, memory in enumerate(memories):
        memory.words.copy_(case[f'init_bow_extractor.bow_extractor.{level}._embedding'])
    trained = [part for part in model.parameters() if part.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.03, momentum=0.9, weight_decay=1e-4)
    for step in range(3):
        of, after = _below(case, f's{step}_'), _below(case, f's{step}_after_')
        crops = [*(of['crop0'][place::2] for place in range(2)), *(of['crop1'][place::5] for place in range(5))]
        _at([of['loc_l0'], of['loc_l1']], monkeypatch)
        losses = model.loss([of['img'], *crops], Batch(torch.arange(3), torch.arange(3)))
        torch.testing.assert_close(losses['loss'], of['losses'].sum(), rtol=0, atol=2e-5)
        assert float(losses['perplexity']) == pytest.approx(float(of['logs'][1]), rel=2e-4)
        optimizer.zero_grad()
        losses['loss'].backward()
        optimizer.step()
        # Their teacher moves at the start of the next step, with that step's momentum: ours after this one.
        torch.testing.assert_close(backbone.c2.weight, after['feature_extractor.c2.weight'], rtol=0, atol=5e-6)
        torch.testing.assert_close(
            model.teacher.networks[0].c2.weight, after['feature_extractor_teacher.c2.weight'], rtol=0, atol=5e-6
        )
        for level, generator in enumerate(head.generators):
            key = f'bow_predictor.layers_w.{level}.b{level}_last_layer.weight'
            torch.testing.assert_close(generator.layers.linear2.weight, after[key], rtol=0, atol=2e-5)
        if step < 2:
            model.teacher.momentum = float(case[f's{step + 1}_alpha'])
        for memory in model.memories().values():
            memory.commit()
        for level, memory in enumerate(memories):
            key = f'bow_extractor.bow_extractor.{level}.'
            torch.testing.assert_close(memory.words, after[f'{key}_embedding'], rtol=0, atol=5e-6)
            torch.testing.assert_close(memory.distance, after[f'{key}_min_distance_mean'][0], rtol=0, atol=2e-6)
            assert int(memory.head) == int(after[f'{key}_embedding_ptr'])


def test_the_momentum_follows_the_authors_curve():
    found = golden('obow/schedules.json')['alpha']
    for iteration, wanted in found['rows']:
        assert schedules.cosine(iteration, found['total_iters'], found['base'], 1.0) == pytest.approx(wanted, abs=2e-7)


def test_a_bag_sums_to_one_and_a_hard_one_has_equal_shares():
    maps, words = torch.randn(3, 4, 5, 5), torch.randn(9, 4)
    distances = word_distances(maps, words)
    torch.testing.assert_close(distances[1, 7, 2], (maps[1, :, 1, 2] - words[2]).square().sum())
    bags = bag_of_words(distances, torch.tensor(3.0))
    torch.testing.assert_close(bags.sum(dim=1), torch.ones(3))
    for row in bag_of_words(distances, None):
        used = row[row > 0]
        torch.testing.assert_close(used, torch.full_like(used, 1 / len(used)))
    assert (perplexity(bags) >= 1).all() and (perplexity(bags) <= 9).all()


def test_bags_do_not_depend_on_the_size_of_the_parts(monkeypatch):
    distances = torch.rand(5, 9, 7)
    whole = bag_of_words(distances, torch.tensor(2.0))
    monkeypatch.setattr(sys.modules['mmssl.functional.bag_of_words'], '_CHUNK', 2 * 63)
    torch.testing.assert_close(bag_of_words(distances, torch.tensor(2.0)), whole)


def test_a_word_is_the_mean_of_nine_pixels():
    maps = torch.arange(49.0).view(1, 1, 7, 7)
    assert local_averages(maps, torch.tensor([7])).item() == maps[0, 0, 1:4, 2:5].mean()


class _Maps(nn.Module):
    """A backbone without batch norm that gives two maps."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)

    def forward(self, images):
        first = self.first(images).tanh()
        return first, self.second(first).tanh()


def _small(**settings):
    return OBoW(_Maps(), BagOfWordsHead(8, [4, 8]), [Vocabulary(20, 4), Vocabulary(20, 8)], **settings)


@pytest.mark.parametrize('sizes', UNEQUAL)
def test_world_sizes_agree(sizes, ranks):
    check(ranks, _small, sizes, num_views=3)


def test_places_follow_from_the_seed_and_the_draw_alone():
    def words(draws, seed=0, order=slice(None)):
        memory = Vocabulary(6, 4)
        memory.seed = seed
        maps = torch.randn(6, 4, 9, 9, generator=torch.Generator().manual_seed(1))[order]
        memory.stage(maps, draws[order], torch.ones(6))
        memory.commit()
        return memory.words

    draws = torch.arange(6)
    assert torch.equal(words(draws), words(draws, order=[2, 0, 1, 5, 4, 3])[[1, 2, 0, 5, 4, 3]])
    assert not torch.equal(words(draws), words(draws + 6)) and not torch.equal(words(draws), words(draws, seed=1))


def test_words_are_assigned_by_the_student_and_known_to_monitors():
    model = _small()
    found = model.assignments(lambda: torch.randn(30, 8))['words']
    assert found.kind == 'words' and found.count == 20 and found.labels.shape == (30,)


def test_evaluation_changes_nothing():
    memory = Vocabulary(6, 4).eval()
    before = {name: value.clone() for name, value in memory.state_dict().items()}
    memory.bags(torch.randn(2, 4, 7, 7))
    memory.commit()
    assert all(torch.equal(value, before[name]) for name, value in memory.state_dict().items())


def test_what_cannot_work_is_refused_in_a_sentence():
    with pytest.raises(
        ValueError, match='A vocabulary of 20 words, but the data set has 12 images: set num_words to 2'
    ):
        _small().allocate(12)
    with pytest.raises(ValueError, match=r'maps of 4 x 4 pixels, but words need 5 x 5'):
        Vocabulary(6, 4).bags(torch.randn(2, 4, 4, 4))
    with pytest.raises(ValueError, match=r'maps of 8 channels for words of 4: set dim=8 for this vocabulary'):
        Vocabulary(6, 4).bags(torch.randn(2, 8, 7, 7))
    with pytest.raises(ValueError, match=r'have \[4\] channels, not \[8\]: set head.word_channels=\[4\]'):
        BagOfWordsHead(6, [8])([torch.randn(5, 4)])
    with pytest.raises(ValueError, match='1 levels for 2 vocabularies'):
        _small(levels=[-1])
    with pytest.raises(ValueError, match="OBoW got 1 view, which is the teacher's"):
        _small().loss([torch.randn(2, 3, 8, 8)], Batch(torch.arange(2), torch.arange(2)))


# The head takes words, so that no dropout fits before it.
RESUME = {
    'obow': """model['head'] = model['head']['neck']
for memory in model['vocabularies']:
    memory.update(num_words=64)
del memory"""
}

MUTATIONS = [
    Mutation(
        'codes use the mean distance of the step before',
        'mmssl/models/memories/vocabulary.py',
        'self._moved(mean_over_ranks(nearest)) if self.training else self.distance',
        'self.distance',
    ),
    Mutation(
        'ranks scale by distances of their own',
        'mmssl/models/memories/vocabulary.py',
        'self._moved(mean_over_ranks(nearest))',
        'self._moved(nearest.mean())',
        'tests/models/test_obow.py -k world_sizes',
    ),
    Mutation(
        'the border of the maps counts',
        'mmssl/models/memories/vocabulary.py',
        'return maps[:, :, 1:-1, 1:-1]',
        'return maps',
    ),
    Mutation(
        'distances are not squared',
        'mmssl/functional/bag_of_words.py',
        'return lengths - 2 * places @ words.T',
        'return (lengths - 2 * places @ words.T).clamp_min(0).sqrt()',
    ),
    Mutation(
        'bags are a softmax of places',
        'mmssl/functional/bag_of_words.py',
        "codes.amax(dim=1) if pooling == 'max' else",
        '',
    ),
    Mutation(
        'weights of words are not normalised',
        'mmssl/models/heads/bag_of_words_head.py',
        '[unit(generator(unit(level)))',
        '[generator(unit(level))',
    ),
    Mutation(
        'all images give the word at one place',
        'mmssl/models/memories/vocabulary.py',
        'draws, 1)[:, 0] % count',
        'draws, 1)[:1, 0].expand(len(draws)) % count',
    ),
    Mutation(
        'kinds of views are averaged',
        'mmssl/models/algorithms/obow.py',
        'torch.stack(parts).sum()',
        'torch.stack(parts).mean()',
    ),
]
