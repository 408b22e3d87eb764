"""Do slots follow the objects, and what do they know? FG-ARI, properties, and which object is the odd one.

    python tools/benchmarks/slots.py work_dirs/slot_attention_cnn_1xb16_cpu_4e_sprites

Each argument is a checkpoint or work directory of Slot Attention or SLATE; the untrained network of the first one is
measured, too. The scenes are those of its config's evaluation section. A network with one slot
(``--cfg-options model.slot_encoder.num_slots=1`` of ``tools/train.py``) is an autoencoder with one vector for the whole
image, against which slots can be compared.
"""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from torch import nn

from mmssl.command_line import one_sentence
from mmssl.evaluation import (
    Result,
    build_dataset,
    extract_slots,
    format_results,
    measure_slots,
    untrained,
    write_results,
)
from mmssl.probe.trained import load_trained


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoints', nargs='+', help='checkpoints or work directories')
    parser.add_argument('--out', help='file for the results (.json)')
    return parser.parse_args(arguments)


def measured(name: str, model: nn.Module, config: Config) -> Result:
    """Measure one network on the scenes of a config."""
    model = model.to(get_device())
    loading = config.evaluation.get('batch_size', 100), config.evaluation.get('num_workers', 0)
    parts = [build_dataset(config.evaluation[part]) for part in ('gallery', 'query')]
    return measure_slots(name, *(extract_slots(model, part, *loading) for part in parts))


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write the results."""
    args = parse_args(arguments)
    with one_sentence():
        found = [load_trained(path) for path in args.checkpoints]
        config = found[0].config
        results = [measured('untrained', untrained(config), config)]
        for path, trained in zip(args.checkpoints, found):
            results.append(measured(Path(path).stem, trained.algorithm(), config))
    print(format_results(results))
    if args.out:
        write_results(args.out, results, checkpoints=args.checkpoints)


if __name__ == '__main__':
    main()
