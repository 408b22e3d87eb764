"""Sphinx: the pages in docs, the README of every method, and the reference from the docstrings.

The source directory is the repository itself (``sphinx-build -c docs . docs/_build/html``, which is what
``tools/build_docs.sh`` types), so the links between pages are the same here as on a code host, and nothing is copied.
"""

import inspect
from collections.abc import Mapping
from importlib import import_module
from pydoc import locate

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from mmssl import __version__

project = 'mmssl'
author = 'The mmssl authors'
release = version = __version__
root_doc = 'docs/index'
include_patterns = ['docs/*.md', 'docs/*.ipynb', 'docs/api/*.rst', 'configs/**/README.md']
include_patterns += ['CHANGELOG.md', 'CONTRIBUTING.md']
# Not searched at all: they may hold millions of files.
exclude_patterns = ['.*', 'data', 'work_dirs', 'build', 'dist', 'mmssl', 'tests', 'docs/_build']

extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.autosummary', 'sphinx.ext.napoleon', 'sphinx_copybutton']
myst_heading_anchors = 4  # links to headings, as a code host makes them
smartquotes = False  # what was printed is quoted, and searched for, as it is
nb_execution_mode = 'off'  # a test executes the notebook; the build shows what it printed

autosummary_generate = False  # only its tables are used
autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'description'  # in the list of arguments, where they are read
autodoc_typehints_description_target = 'documented'
autodoc_typehints_format = 'short'
python_use_unqualified_type_names = True
autodoc_preserve_defaults = True
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_rtype = False  # the type stands in the text
napoleon_use_ivar = True  # attributes in one list
nitpicky = True  # a reference in a docstring that leads nowhere is a warning ...
nitpick_ignore_regex = [(r'py:.*', r'(?!mmssl\.).*')]  # ... unless it leads out of mmssl

html_theme = 'furo'
html_title = f'mmssl {release}'
templates_path, html_static_path = ['_templates'], ['_static']
html_css_files = ['mmssl.css']
html_additional_pages = {'index': 'to_front_page.html'}
html_copy_source = html_show_sourcelink = html_show_copyright = html_show_sphinx = False


class ApiDirective(SphinxDirective):
    """``.. api:: PACKAGE``: a table of what the package exports, then each entry, grouped by the file that holds it.

    Where users import the entries from another package, its name is a second argument.
    """

    required_arguments, optional_arguments = 1, 1

    def run(self) -> list[nodes.Node]:
        """Write the entries as the directives of autosummary and autodoc, and have them read."""
        package, where = import_module(self.arguments[0]), self.arguments[-1]
        entries = {name: getattr(package, name) for name in package.__all__}
        described = [name for name, entry in entries.items() if _is_described(entry)]
        lines = [inspect.getdoc(package), '', '.. autosummary::', '   :nosignatures:', '']
        lines += [f'   ~{where}.{name}' for name in described]
        for title, names in _by_file(entries).items():
            lines += ['', title, '-' * len(title)]
            for name in names:
                lines += ['', *_directive(f'{where}.{name}', entries[name])]
        return self.parse_text_to_nodes('\n'.join(lines), allow_section_headings=True)


def _is_described(entry: object) -> bool:
    return inspect.isclass(entry) or inspect.isfunction(entry)


def _directive(name: str, entry: object) -> list[str]:
    if inspect.isclass(entry):
        return [f'.. auto{"exception" if issubclass(entry, BaseException) else "class"}:: {name}']
    return (
        [f'.. autofunction:: {name}']
        if inspect.isfunction(entry)
        else [f'.. py:data:: {name}', f'   :value: {entry!r}']
    )


def _by_file(entries: Mapping[str, object]) -> dict[str, list[str]]:
    """The names by the first line of the docstring of their file; constants come last, modules are left out."""
    groups: dict[str, list[str]] = {}
    for name, entry in sorted(entries.items(), key=lambda item: not _is_described(item[1])):
        if not inspect.ismodule(entry):
            file = inspect.getdoc(inspect.getmodule(entry)) if _is_described(entry) else 'Constants'
            groups.setdefault(file.splitlines()[0].rstrip('.'), []).append(name)
    return groups


def find_entry(app: Sphinx, env: BuildEnvironment, node: nodes.Element, text: nodes.Node) -> nodes.Node | None:
    """Where a reference names an entry by another module than users import it from: a link to the same entry.

    What is not exported stands without a link, and what does not exist is a warning.
    """
    target = node['reftarget']
    if node.get('refdomain') != 'py' or (entry := locate(target)) is None:
        return None
    for name, found in env.domains['py'].objects.items():
        if name.rpartition('.')[2] == target.rpartition('.')[2] and locate(name) is entry:
            return make_refnode(app.builder, node['refdoc'], found.docname, found.node_id, text, name)
    return text


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_directive('api', ApiDirective)
    app.connect('missing-reference', find_entry)
