"""Adam at a constant rate, 100 epochs: the autoencoders of G-SimCLR, without their early stopping on the test images."""

from torch.optim import Adam

from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=Adam, lr=1e-3))
train_cfg = dict(type=EpochLoop, max_epochs=100)
auto_scale_lr = dict(base_batch_size=64, enable=False)
