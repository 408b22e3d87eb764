"""MMEngine's Runner for detectors and segmenters that start from a backbone of mmssl."""

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.runner import Runner
from torch import nn

from mmssl.checkpoint import CheckpointError, pack_message_hub, unpack_message_hub
from mmssl.engine.runner import join_without_cuda
from mmssl.files import write_json
from mmssl.transfer.pretrained import load_pretrained
from mmssl.weights import WeightsFile, read_file, unpickle_file


class TransferRunner(Runner):
    """Runner that loads ``cfg.pretrained`` into the initialised model (None leaves it untrained).

    It also makes several processes work without a GPU, where SyncBN becomes BN, and writes the figures of the latest
    evaluation to the work directory: ``result.json`` for a training, ``result_test.json`` for a test. Everything else
    is MMEngine's.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Create the process group, without CUDA if there is no GPU, and continue as MMEngine does."""
        if self.distributed:
            join_without_cuda(self.launcher)
        super().setup_env(env_cfg)

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """Build the model; without a GPU, its SyncBN, which rejects CPU tensors, becomes BN."""
        built = super().build_model(model)
        return built if torch.cuda.is_available() else revert_sync_batchnorm(built)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for several processes, on CPUs too."""
        if self.distributed and not torch.cuda.is_available():
            settings = {'device_ids': None, 'broadcast_buffers': False}
            settings['find_unused_parameters'] = self.cfg.get('find_unused_parameters', False)
            model_wrapper_cfg = {'type': 'MMDistributedDataParallel', **settings, **(model_wrapper_cfg or {})}
        return super().wrap_model(model_wrapper_cfg, model)

    def _init_model_weights(self) -> None:
        super()._init_model_weights()
        if checkpoint := self.cfg.get('pretrained'):
            model = self.model.module if is_model_wrapper(self.model) else self.model
            for sentence in load_pretrained(model, checkpoint):
                self.logger.info(sentence)

    def load_checkpoint(self, filename: str, *_: Any, **__: Any) -> dict[str, Any]:
        """Load a trained model, every key of it, without executing anything in the file.

        Only ``trust_pickle=True`` in the config lets a file be unpickled that cannot be read otherwise.

        Args:
            filename: A checkpoint. MMEngine's further arguments are ignored: loading is strict and on the CPU.

        Returns:
            The checkpoint, as MMEngine's ``resume`` needs it. Log histories that were saved as objects are left out.

        Raises:
            ValueError: A key is missing, unexpected or of another shape, or the file is refused.
        """
        file = self._read(filename)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        try:
            model.load_state_dict(file.tensors)
        except RuntimeError as error:
            # The message has one line per key.
            first = ' '.join(str(error).split())[:300]
            raise CheckpointError(
                f'{filename} does not hold this model: {first} ... Give the config it was trained with.'
            ) from error
        self._has_loaded = True
        self.logger.info(f'Loaded from {filename}.')
        meta = {key: value for key, value in file.meta.items() if key != 'config'}  # MMEngine would execute its text
        return {**file.content, 'meta': meta, 'message_hub': _histories(file.content.get('message_hub'))}

    def _read(self, filename: str) -> WeightsFile:
        try:
            return read_file(filename)
        except CheckpointError as error:
            if 'unpickling' not in str(error):
                raise
            if not self.cfg.get('trust_pickle'):
                raise CheckpointError(f'{error} If you trust whoever made it, add --trust-pickle.') from error
        self.logger.warning(f'{filename} is unpickled, which runs the code in it.')
        return unpickle_file(filename)

    def resume(self, filename: str, *arguments: Any, **options: Any) -> None:
        """Continue from a checkpoint.

        Raises:
            ValueError: It is not a checkpoint of such a training.
        """
        try:
            super().resume(filename, *arguments, **options)
        except (AttributeError, KeyError, TypeError) as error:  # the content of a file is not trusted
            raise CheckpointError(
                f'{filename} does not hold the state of a training ({type(error).__name__}: {error}): start in another '
                'work directory.'
            ) from error

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register MMEngine's hooks, the writer of ``result.json``, and one that keeps objects out of checkpoints."""
        super().register_default_hooks(hooks)
        self.register_hook(_Result())
        self.register_hook(_PlainCheckpoint())


def _histories(packed: Any) -> dict[str, Any]:
    """Log histories for MMEngine's message hub; empty if they were saved as objects."""
    try:
        return unpack_message_hub(packed)
    except (AttributeError, KeyError, TypeError):
        return {'log_scalars': {}, 'runtime_info': {}, 'resumed_keys': {}}


class _PlainCheckpoint(Hook):
    """Pack the log histories into tensors, so that checkpoints hold only tensors and plain data."""

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint['message_hub'] = pack_message_hub(runner.message_hub)


class _Result(Hook):
    """Store the figures of the latest evaluation, with their config and checkpoint."""

    priority = 'VERY_LOW'

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any] | None = None) -> None:
        made = {'pretrained': runner.cfg.get('pretrained'), 'seed': runner.seed, 'iteration': runner.iter}
        self._write(runner, 'result.json', made, metrics)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, Any] | None = None) -> None:
        self._write(runner, 'result_test.json', {'checkpoint': runner.cfg.get('load_from')}, metrics)

    def _write(self, runner: Runner, name: str, made_from: dict[str, Any], metrics: dict[str, Any] | None) -> None:
        config = Path(runner.cfg.filename).stem if runner.cfg.filename else None
        figures = {key: round(float(value), 4) for key, value in (metrics or {}).items()}
        if is_main_process():
            content = {'config': config, **made_from, 'metrics': figures}
            write_json(Path(runner.work_dir, name), content)
