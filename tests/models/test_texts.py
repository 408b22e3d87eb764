"""Text towers and tokenizers: those of the package transformers, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmssl.dependencies import require
from mmssl.models import ConVIRT, MLPNeck, TransformersTokenizer, TransformersTower, WordTokenizer
from tests.helpers.mutation import Mutation
from tests.models.test_swav import Smooth

BERT = dict(
    model_type='bert', vocab_size=20, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16
)
needs_transformers = pytest.mark.skipif(
    subprocess.run([sys.executable, '-c', 'import transformers'], capture_output=True, check=False).returncode != 0,
    reason='transformers is not installed',
)


def _tokens() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(8).view(2, 4), torch.tensor([[True] * 4, [True, True, False, False]])


@needs_transformers
def test_a_tower_of_transformers_learns_in_all_but_its_frozen_layers():
    tower = TransformersTower(BERT, frozen_layers=2).train()
    tokens, mask = _tokens()
    hidden = tower(tokens, mask)
    assert hidden.shape == (2, 4, 8) and (tower.out_channels, tower.num_tokens, tower.max_length) == (8, 20, 512)
    hidden[mask].sum().backward()
    frozen = ('model.embeddings.', 'model.encoder.layer.0.', 'model.encoder.layer.1.')
    for name, parameter in tower.named_parameters():
        assert (parameter.grad is None) == name.startswith(frozen), name
    with pytest.raises(ValueError, match='frozen_layers=4, but the text tower has 3 layers'):
        TransformersTower(BERT, frozen_layers=4)


@needs_transformers
def test_padding_has_no_influence_on_the_words_of_a_tower_of_transformers():
    tower = TransformersTower(BERT).eval()
    tokens, mask = _tokens()
    other = tokens.where(mask, 19)
    torch.testing.assert_close(tower(other, mask)[mask], tower(tokens, mask)[mask])


@needs_transformers
def test_weights_in_a_folder_fill_the_tower_when_a_training_starts_and_others_are_refused(tmp_path):
    torch.manual_seed(0)
    first = TransformersTower(BERT)
    first.model.save_pretrained(tmp_path)
    tower = TransformersTower(BERT, init=str(tmp_path))
    weight = tower.model.embeddings.word_embeddings.weight
    assert not torch.equal(weight, first.model.embeddings.word_embeddings.weight), 'building reads no weights'
    tower.init_weights()
    assert all(torch.equal(value, first.state_dict()[name]) for name, value in tower.state_dict().items())
    with pytest.raises(ValueError, match='does not fit the text tower: .* weights differ'):
        TransformersTower({**BERT, 'vocab_size': 21}, init=str(tmp_path)).init_weights()
    with pytest.raises(ValueError, match="text weights '.*nowhere' cannot be loaded"):
        TransformersTower(BERT, init=str(tmp_path / 'nowhere')).init_weights()


@pytest.fixture
def bert_words(tmp_path: Path) -> Path:
    """A folder with the files of a small tokenizer of BERT."""
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'red', 'square']
    (tmp_path / 'vocab.txt').write_text('\n'.join(words))
    (tmp_path / 'tokenizer_config.json').write_text(json.dumps({'tokenizer_class': 'BertTokenizer'}))
    (tmp_path / 'config.json').write_text(json.dumps({'model_type': 'bert'}))
    return tmp_path


@needs_transformers
def test_a_tokenizer_of_transformers_reads_texts_and_a_model_uses_it(bert_words):
    tokenizer = TransformersTokenizer(str(bert_words), max_length=6)
    tokens, mask = tokenizer(['A red square', 'red red red red red red'])
    assert tokens.tolist() == [[2, 5, 6, 7, 3, 0], [2, 6, 6, 6, 6, 3]]
    assert mask.tolist() == [[True] * 5 + [False], [True] * 6] and tokens.dtype == torch.int64
    assert tokenizer.reader().length('red ' * 6) == 8 and tokenizer.fitted
    necks = [MLPNeck(8, 8, 6, batch_norm=False) for _ in range(2)]
    model = ConVIRT(Smooth(), necks[0], TransformersTower(BERT), necks[1], tokenizer)
    assert model.embed_sentences(['a red square']).shape == (1, 6)
    with pytest.raises(ValueError, match=r"tokenizer '.*nowhere' cannot be loaded .*: set model.tokenizer.name"):
        TransformersTokenizer(str(bert_words / 'nowhere')).reader()


def test_without_transformers_the_error_says_which_extra_installs_it(monkeypatch):
    monkeypatch.setattr('mmssl.dependencies.find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r"needs transformers, .* type  pip install 'mmssl\[text\]'"):
        require('transformers')
    for build in (lambda: TransformersTokenizer('x'), lambda: TransformersTower(BERT)):
        with pytest.raises(ImportError, match=r'mmssl\[text\]'):
            build()


def test_a_tokenizer_without_room_for_words_and_texts_without_words_are_refused():
    with pytest.raises(ValueError, match='num_tokens=2 and max_length=4 of WordTokenizer leave no room'):
        WordTokenizer(2, 4)
    with pytest.raises(ValueError, match='The texts hold no words'):
        WordTokenizer(9, 4).fit(['...', '!'])


def test_a_tokenizer_reads_the_same_after_its_words_were_loaded():
    fitted, other = WordTokenizer(9, 4), WordTokenizer(9, 4)
    fitted.fit(['Größe und Form', 'und'])
    assert fitted.fitted and not other.fitted
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other(['form UND größe x'])[0], torch.tensor([[3, 2, 4, 1]]))
    fitted.fit(['neu'])
    assert fitted(['form neu'])[0].tolist() == [[1, 2, 0, 0]], 'words of before are gone'


MUTATIONS = [
    Mutation(
        'attention of BERT looks at padding',
        'mmssl/models/texts/towers.py',
        'attention_mask=mask.long()',
        'attention_mask=None',
    ),
    Mutation(
        'words of an earlier fit stay',
        'mmssl/models/texts/tokenizers.py',
        'self.words.zero_()[: len(found)]',
        'self.words[: len(found)]',
    ),
]
