"""Packaging of mmssl: metadata, requirements, and the configs and tools that ship inside the wheel."""

import runpy
import shutil
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Packages that own the same folder: one must not be installed over another.
SAME_FOLDER = {
    'faiss-cpu': ('faiss-gpu', 'faiss-gpu-cu12', 'faiss-gpu-cu13'),
    'onedl-mmengine': ('mmengine',),
    'opencv-python-headless': ('opencv-python', 'opencv-contrib-python', 'opencv-contrib-python-headless'),
}
EXTRAS = ('bands', 'benchmarks', 'docs', 'faiss-gpu', 'rl', 'tests', 'text', 'timm', 'video')
# What mim looks for in an installed package: the script it runs and the index of configs it searches.
MIM_FILES = ('tools', 'model-index.yml')


def read_requirements(name: str) -> list[str]:
    """The requirements listed in ``requirements/<name>.txt``, without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    stripped = [line.split('#')[0].strip() for line in lines]
    return [line for line in stripped if line]


def read_mm_requirements() -> list[str]:
    """What ``requirements/mm.txt`` lists, or the package with the same folder that is installed in its place.

    The environment is asked by its folder, since the isolated build that pip makes does not see the packages beside it.
    The extra ``faiss-gpu`` asks for that build, and then ``faiss-cpu`` is left out.
    """
    installed = {dist.name.lower() for dist in distributions(path=[sysconfig.get_path('purelib')])}
    requirements = []
    for line in read_requirements('mm'):
        name = line.split('>=')[0]
        others = [other for other in SAME_FOLDER[name] if other in installed and name not in installed]
        marker = '; extra != "faiss-gpu"' if name == 'faiss-cpu' else ''
        requirements.append(others[0] if others else line + marker)
    return requirements


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder or a file, without what Python compiled there."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


class BuildWithConfigs(build_py):
    """Adds the configs (``mmssl/configs``) and what mim runs (``mmssl/.mim``) to the built package.

    The configs are not repeated in ``mmssl/.mim``: mim searches the whole package for a config's file name and refuses
    one that it finds twice. Their metafiles are, since the index there names them.
    """

    def run(self) -> None:
        """Build the package, then copy; in an editable install the checkout has everything in place."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / 'mmssl'
        copy_tree(ROOT / 'configs', package / 'configs')
        for name in MIM_FILES:
            copy_tree(ROOT / name, package / '.mim' / name)
        for metafile in ROOT.glob('configs/*/metafile.yml'):
            copy_tree(metafile, package / '.mim' / metafile.relative_to(ROOT))


class WheelForMim(bdist_wheel):
    """Repeats ``.mim`` in the wheel's ``dist-info``, where the maintained line of mim (onedl-mim) looks for it.

    It takes the first file that pip recorded for the package's folder; where package and distribution have one
    name, as here, that file lies in ``dist-info``.
    """

    def write_wheelfile(self, wheelfile_base: str, *args: object, **kwargs: object) -> None:
        """Write the file ``WHEEL``, and beside it what mim needs."""
        super().write_wheelfile(wheelfile_base, *args, **kwargs)
        if 'editable_wheel' in self.distribution.command_obj:
            return
        for name in ('configs', *MIM_FILES):
            copy_tree(ROOT / name, Path(wheelfile_base) / '.mim' / name)


setup(
    name='mmssl',
    version=runpy.run_path(str(ROOT / 'mmssl' / 'version.py'))['__version__'],
    description='Self-supervised learning in the OpenMMLab manner: image backbones trained without labels',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    author='The mmssl authors',
    keywords='computer vision, self-supervised learning, representation learning, OpenMMLab',
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 14)),
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=['mmssl', 'mmssl.*'], exclude=['mmssl.configs*']),
    # py.typed tells type checkers that the package has types.
    package_data={'mmssl': ['py.typed', 'zoo/*'], 'mmssl.visualization': ['templates/*']},
    entry_points={'console_scripts': ['mmssl = mmssl.commands:main']},
    python_requires='>=3.10',
    install_requires=read_requirements('runtime') + read_mm_requirements(),
    extras_require={name: read_requirements(name) for name in EXTRAS},
    cmdclass={'build_py': BuildWithConfigs, 'bdist_wheel': WheelForMim},
    zip_safe=False,
)
