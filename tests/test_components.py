"""Components are found in the files of their package: a new file needs no entry in a list."""

import sys
from importlib import import_module

import pytest

import mmssl.models
from mmssl.models import additions, algorithms, memories
from mmssl.registry import components_of

PACKAGE = """
from mmssl.registry import components_of
globals().update(found := components_of(__name__))
__all__ = list(found)
"""
METHOD = """
from torch import nn
from mmssl.models import BaseMemory

class Whole(nn.Module):
    pass

class _Part(nn.Module):
    pass

def helper():
    pass
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / 'rooms/below').mkdir(parents=True)
    for folder in ('rooms', 'rooms/below'):
        (tmp_path / folder / '__init__.py').write_text(PACKAGE)
    (tmp_path / 'rooms/method.py').write_text(METHOD)
    (tmp_path / 'rooms/below/another.py').write_text(METHOD.replace('Whole', 'Another'))
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module('rooms')
    for name in [name for name in sys.modules if name.partition('.')[0] == 'rooms']:
        del sys.modules[name]


def test_a_file_put_into_a_package_is_exported_and_what_it_imports_or_hides_is_not(package):
    assert package.__all__ == ['Another', 'Whole']
    assert package.Whole.__module__ == 'rooms.method' and package.Another is package.below.Another


def test_a_file_that_names_its_exports_also_exports_functions(package, tmp_path):
    (tmp_path / 'rooms/named.py').write_text("__all__ = ['helper']\n" + METHOD)
    found = components_of('rooms')
    assert list(found) == ['Another', 'Whole', 'helper'] and found['helper'].__module__ == 'rooms.named'
    assert found['Whole'].__module__ == 'rooms.method'


def test_the_packages_of_models_export_what_their_files_define():
    assert {'MoCo', 'Contrastive', 'BaseAlgorithm', 'pooled'} <= set(algorithms.__all__)
    assert {'BaseMemory', 'Queue', 'build_memory'} <= set(memories.__all__)
    assert {'Addition', 'Host', 'InterImage'} <= set(additions.__all__)
    assert set(algorithms.__all__) | set(additions.__all__) | set(memories.__all__) < set(mmssl.models.__all__)
    assert mmssl.models.__all__ == sorted(components_of('mmssl.models'))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="mmssl.models has no 'Moco'"):
        _ = mmssl.models.Moco
    assert not hasattr(mmssl.models, 'Moco')
