"""The registries: children of MMEngine's, so that its components are found too.

``MEMORIES`` is a kind of our own: whatever lives across iterations outside the gradient.
"""

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

SCOPE = 'mmssl'


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(name, parent=parent, scope=SCOPE, locations=[f'mmssl.{place}' for place in locations])


MODELS = _child('model', mmengine_registry.MODELS, 'models', 'evaluation')
MEMORIES = Registry('memory', scope=SCOPE, locations=['mmssl.models.memories'])
DATASETS = _child('dataset', mmengine_registry.DATASETS, 'datasets')
DATA_SAMPLERS = _child('data sampler', mmengine_registry.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child('transform', mmengine_registry.TRANSFORMS, 'datasets')
FUNCTIONS = _child('function', mmengine_registry.FUNCTIONS, 'datasets')
HOOKS = _child('hook', mmengine_registry.HOOKS, 'engine.hooks')
LOOPS = _child('loop', mmengine_registry.LOOPS, 'engine')
RUNNERS = _child('runner', mmengine_registry.RUNNERS, 'engine')
OPTIMIZERS = _child('optimizer', mmengine_registry.OPTIMIZERS, 'engine.optimizers')
OPTIM_WRAPPERS = _child('optim_wrapper', mmengine_registry.OPTIM_WRAPPERS, 'engine.optimizers')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optimizer wrapper constructor', mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS, 'engine.optimizers'
)
VISBACKENDS = _child('vis_backend', mmengine_registry.VISBACKENDS, 'visualization')
PARAM_SCHEDULERS = _child('parameter scheduler', mmengine_registry.PARAM_SCHEDULERS, 'engine')
