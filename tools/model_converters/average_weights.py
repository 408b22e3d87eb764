"""Average checkpoints of one network: average_weights.py CHECKPOINT CHECKPOINT ... --out FILE.

FILE holds the mean of every tensor, and the config of the first checkpoint, so that mmssl's commands read it.
Optimizers and progress are left out: as load_from, FILE starts a new training.
"""

import argparse
from pathlib import Path

from mmssl.command_line import one_sentence, weights_file


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoints', nargs='+', metavar='CHECKPOINT', help='.pth, .safetensors or a work directory')
    parser.add_argument('--out', type=weights_file, required=True, help='file to write, .pth or .safetensors')
    return parser.parse_args()


def main() -> None:
    """Average, and say what was written."""
    args = parse_args()
    out = Path(args.out)
    from mmssl.checkpoint import write_checkpoint
    from mmssl.weights import average_weights, write_weights

    file = average_weights(args.checkpoints)
    config, tensors = file.config, file.tensors
    if config and out.suffix == '.pth':
        out.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint({'meta': {'config': config}, 'state_dict': tensors}, out)
    else:
        write_weights(tensors, out)
    print(f'{out}: the mean of {len(args.checkpoints)} checkpoints, {len(tensors)} tensors.')


if __name__ == '__main__':
    with one_sentence():
        main()
