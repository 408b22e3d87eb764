"""Fine-tune and test detectors and segmenters: tools/benchmarks/transfer.py {train,test} CONFIG CHECKPOINT.

train: CHECKPOINT is the pre-trained backbone (a checkpoint of mmssl or an exported file), or the word none for an
untrained network. It must have every key of the detector's backbone. test: CHECKPOINT is the trained model. The figures
of the latest evaluation are written to WORK_DIR/result.json, and those of a test to WORK_DIR/result_test.json.
"""

import argparse

from mmengine.config import Config

from mmssl.command_line import add_common_options, one_sentence, read_config
from mmssl.ranges import INDEX, option


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description='Fine-tune or test in MMDetection and MMSegmentation.')
    parser.add_argument('work', choices=['train', 'test'])
    parser.add_argument('config', help='a config under configs/benchmarks/mmdetection or mmsegmentation')
    parser.add_argument('checkpoint', help="train: pre-trained backbone, or 'none'; test: the trained model")
    parser.add_argument('--data-root', help='folder of the data, instead of the one in the config')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<name of the config>)')
    parser.add_argument(
        '--resume', action='store_true', help='continue from the newest checkpoint in the work directory'
    )
    parser.add_argument(
        '--trust-pickle',
        action='store_true',
        help='test, --resume, load_from: unpickle a checkpoint that cannot be read otherwise; this runs the code in it',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size')
    parser.add_argument('--seed', type=option(INDEX), default=0)
    add_common_options(parser)
    return parser.parse_args()


def load_config(args: argparse.Namespace) -> Config:
    """The config with the options of the command line."""
    import torch

    from mmssl.dependencies import require_transfer
    from mmssl.transfer import check_data, move_data

    cfg = read_config(args, 'a config under configs/benchmarks/mmdetection or configs/benchmarks/mmsegmentation')
    scope = cfg.get('default_scope')
    if scope not in ('mmdet', 'mmseg'):
        raise ValueError(
            f'{args.config} is no config of MMDetection or MMSegmentation: give one under '
            'configs/benchmarks/mmdetection or configs/benchmarks/mmsegmentation.'
        )
    require_transfer(scope)
    if args.data_root:
        move_data(cfg, args.data_root)
    cfg.randomness = {'seed': args.seed}
    cfg.resume, cfg.trust_pickle = args.resume, args.trust_pickle
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.amp:
        if not torch.cuda.is_available():
            raise ValueError('Mixed precision (--amp), but there is no GPU: leave --amp out, training is in float32.')
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    if args.work == 'train':
        cfg.pretrained = None if args.checkpoint == 'none' else args.checkpoint
        check_data(cfg.train_dataloader, cfg.val_dataloader)
    else:
        cfg.load_from = args.checkpoint
        check_data(cfg.test_dataloader)
    return cfg


def main() -> None:
    """Build the runner, then train or test."""
    args = parse_args()
    cfg = load_config(args)
    from mmssl.transfer import TransferRunner

    runner = TransferRunner.from_cfg(cfg)
    runner.train() if args.work == 'train' else runner.test()


if __name__ == '__main__':
    with one_sentence():
        main()
