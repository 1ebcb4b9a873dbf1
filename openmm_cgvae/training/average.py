"""The moving average of weights that a training keeps, validates and exports."""

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["moving_average"]


def moving_average(module, decay):
    """Return an exponential moving average of a model as an ``AveragedModel``.

    After n updates the decay is (1 + n) / (10 + n) at most. From the start 0.999 lags by a thousand updates: the loss
    of chignolin that 0.99 reached after 8 epochs it reached after 25.

    Parameters
    ----------
    module : nn.Module
    decay : float
        Below 1.
    """

    def update(averages, weights, n):
        own = min(decay, (1 + float(n)) / (10 + float(n)))
        get_ema_multi_avg_fn(own)(averages, weights, n)

    return AveragedModel(module, multi_avg_fn=update)
