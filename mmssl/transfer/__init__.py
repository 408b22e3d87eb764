"""Fine-tuning in MMDetection and MMSegmentation, for the configs in ``configs/benchmarks``.

Contains only what those packages lack: loading without losing a key, and a runner that needs no GPU. Configs refer to
the packages' own components by ``mmdet::`` and ``mmseg::``.
"""

from mmengine.config.utils import MODULE2PACKAGE

from mmssl.transfer.data import check_data, move_data
from mmssl.transfer.pretrained import load_pretrained
from mmssl.transfer.runner import TransferRunner

# MMEngine looks for a distribution named mmsegmentation; under the name of the module, it finds any.
MODULE2PACKAGE['mmseg'] = 'mmseg'

__all__ = ['TransferRunner', 'check_data', 'load_pretrained', 'move_data']
