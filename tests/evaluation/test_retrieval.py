"""Retrieval by images and sentences, and classification by sentences."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmssl.datasets import ArraySource, EvalView, ImageDataset
from mmssl.evaluation import chance_precision, image_text_measures, precision_at_k, zero_shot
from tests.conftest import golden
from tests.helpers.mutation import Mutation

VECTORS = golden('convirt/retrieval.npz')


@pytest.mark.parametrize('number', range(int(VECTORS['n_cases'])))
def test_precision_equals_the_reference_also_beyond_the_candidates(number):
    case = {key[3:]: value for key, value in VECTORS.items() if key.startswith(f'c{number}_')}
    found = precision_at_k(
        *(case[name] for name in ('query', 'candidate', 'query_label', 'candidate_label')), case['k'].tolist()
    )
    assert list(found) == case['k'].tolist()
    assert list(found.values()) == pytest.approx(case['precision'].tolist(), abs=1e-9)


def test_chance_is_the_precision_of_all_candidates():
    labels, candidates = torch.tensor([0, 1]), torch.tensor([0, 0, 0, 1])
    rows = torch.randn(4, 3)
    assert chance_precision(labels, candidates) == 0.5 == precision_at_k(rows[:2], rows, labels, candidates, [4])[4]


def test_an_image_belongs_to_the_class_whose_mean_sentence_is_nearest():
    prompts = [torch.tensor([[1.0, 0.1], [100.0, -10.0]]), torch.tensor([[0.0, 2.0]])]
    assert zero_shot(torch.tensor([[9.0, 1.0], [0.1, 0.2]]), prompts).tolist() == [0, 1]
    prompts = [torch.tensor([[1.0, 0.0], [0.0, 100.0]]), torch.tensor([[0.6, -0.8]])]
    assert zero_shot(torch.tensor([[1.0, 0.2]]), prompts).tolist() == [0], 'every sentence counts alike'


class _TwoTowers(nn.Module):
    """The mean colour of an image is its feature; sentences name colours."""

    def data_preprocessor(self, data: dict, training: bool = False) -> dict:
        return {'inputs': [view.float() for view in data['inputs']]}

    def extract_feat(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))

    def embed(self, images: Tensor) -> Tensor:
        return self.extract_feat(images).flip(1)

    def embed_sentences(self, sentences: list[str]) -> Tensor:
        return torch.stack([torch.eye(3)[['blue', 'green', 'red'].index(text.split()[-1])] for text in sentences])


def _colours(labels: list[int], classes: tuple[str, ...]) -> ImageDataset:
    images = np.zeros((len(labels), 8, 8, 3), np.uint8)
    for place, label in enumerate(labels):
        images[place, ..., ('red', 'green', 'blue').index(classes[label])] = 200
        images[place, ..., 1] += 30
    return ImageDataset(ArraySource(images, np.array(labels), classes=classes), EvalView(8, 8))


PROMPTS = {'red': ['It is red', 'All is red'], 'green': ['It is green'], 'blue': ['It is blue']}


def test_measures_match_classes_by_name_and_use_the_space_of_both_towers():
    gallery, query = _colours([0, 1, 2, 0], ('red', 'green', 'blue')), _colours([1, 0, 1], ('blue', 'green'))
    found = {measure.name: measure.value for measure in image_text_measures(_TwoTowers(), gallery, query, PROMPTS, [1])}
    assert found == {'image to image P@1': 100.0, 'text to image P@1': 100.0, 'zero-shot': 100.0}
    wrong = {**PROMPTS, 'green': ['It is blue']}
    found = {measure.name: measure.value for measure in image_text_measures(_TwoTowers(), gallery, query, wrong, [1])}
    assert found['text to image P@1'] == 75 and found['zero-shot'] == 0


def test_a_class_without_a_sentence_and_images_without_classes_are_refused():
    gallery = _colours([0, 1], ('red', 'green'))
    with pytest.raises(ValueError, match="no sentence about the class 'green'"):
        image_text_measures(_TwoTowers(), gallery, gallery, {'red': ['It is red']}, [1])
    bare = ImageDataset(ArraySource(np.zeros((2, 8, 8, 3), np.uint8)), EvalView(8, 8))
    with pytest.raises(ValueError, match='Retrieval needs named classes'):
        image_text_measures(_TwoTowers(), bare, bare, PROMPTS, [1])


MUTATIONS = [
    Mutation(
        'precision divides by the candidates that there are',
        'mmssl/evaluation/retrieval.py',
        '/ (k * len(hits))',
        '/ (min(k, hits.shape[1]) * len(hits))',
    ),
    Mutation(
        'long sentences weigh more in a class',
        'mmssl/evaluation/retrieval.py',
        'normalize(rows.double(), dim=1).mean(dim=0)',
        'rows.double().mean(dim=0)',
    ),
    Mutation(
        'sentences search among the features of the backbone',
        'mmssl/evaluation/retrieval.py',
        'torch.cat(sentences), embedded.features[kept]',
        'torch.cat(sentences), features',
    ),
]
