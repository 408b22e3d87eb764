"""Fine-tuning in MMDetection and MMSegmentation, for the configs in ``configs/benchmarks``.

Only what those packages lack: a load that loses nothing, and a runner that needs no GPU. Configs reach their packages'
own by ``mmdet::`` and ``mmseg::``.
"""

from mmengine.config.utils import MODULE2PACKAGE

from mmssl.transfer.data import check_data, move_data
from mmssl.transfer.pretrained import load_pretrained
from mmssl.transfer.runner import TransferRunner

# MMEngine looks for a distribution of the name mmsegmentation; under the module's own name it finds any.
MODULE2PACKAGE['mmseg'] = 'mmseg'

__all__ = ['TransferRunner', 'check_data', 'load_pretrained', 'move_data']
