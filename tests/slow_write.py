"""A hook that stops in the middle of writing the second checkpoint, for a test that kills the process there."""

import time
from pathlib import Path

import torch
from mmengine.hooks import Hook


class SlowWrite(Hook):
    """Writes half of the file that torch would write, then waits to be killed."""

    def before_run(self, runner):
        save, written = torch.save, []

        def half(checkpoint, file):
            written.append(1)
            if len(written) < 2:
                return save(checkpoint, file)
            save(checkpoint, file)
            file.truncate(file.tell() // 2)
            file.flush()
            (Path(runner.work_dir) / 'writing').touch()
            time.sleep(600)

        torch.save = half


class Started(Hook):
    """Writes the number of the first iteration of this process, counted from 0, once it is done."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        path = Path(runner.work_dir) / 'started'
        if not path.exists():
            path.with_suffix('.tmp').write_text(str(runner.iter))
            path.with_suffix('.tmp').rename(path)


class Sleep(Hook):
    """Makes the second iteration very long."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for _ in range(600 if runner.iter else 0):
            time.sleep(1)
