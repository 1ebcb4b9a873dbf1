"""Several processes that train one model, each on its share of every batch.

``torchrun`` starts them. Gradients are added up after the backward pass rather than by ``DistributedDataParallel``,
which wraps a single ``forward`` and weights all processes alike, however many frames they have of a batch.
"""

import os
from contextlib import contextmanager

import torch
from torch import distributed

from openmm_cgvae.core.device import usable_device

__all__ = ["Share", "add_up", "from_first", "process_group", "rank"]


def rank():
    """Number of this process among those that train together; 0 where it is alone."""
    return distributed.get_rank() if _together() else 0


def size():
    """How many processes train together."""
    return distributed.get_world_size() if _together() else 1


def _together():
    # Some builds of torch have no distributed package.
    return distributed.is_available() and distributed.is_initialized()


@contextmanager
def process_group(device):
    """Join the processes that ``torchrun`` has started; without it, there is this one alone.

    An error in one process ends all: it is raised where it comes first, and the others leave silently.

    Parameters
    ----------
    device : str or torch.device

    Yields
    ------
    torch.device
        That of this process; a GPU of its own where `device` is any.

    Raises
    ------
    SettingsError
        If there is no such device.
    """
    device = usable_device(device)
    if not (distributed.is_available() and distributed.is_torchelastic_launched()):
        yield device
        return
    store, number, processes = next(distributed.rendezvous("env://"))
    try:
        if device.type == "cuda":
            device = usable_device(f"cuda:{os.environ['LOCAL_RANK']}")
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        distributed.init_process_group(backend, store=store, rank=number, world_size=processes)
        yield device
    except Exception as error:
        if store.add("failed processes", 1) > 1:
            raise SystemExit(2) from error
        raise
    distributed.destroy_process_group()


def from_first(value):
    """Return the value of the first process in all processes (collective, as all functions below)."""
    held = [value]
    if size() > 1:
        distributed.broadcast_object_list(held)
    return held[0]


def add_up(tensors):
    """Replace tensors of one type by their sums over all processes, in one message."""
    if size() == 1:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(total.view_as(tensor))


class Share:
    """The frames that this process has of a batch: ``Share(len(x)).of(x)``.

    Parameters
    ----------
    n : int
        Frames of the batch.
    """

    def __init__(self, n):
        self.n = n
        self.begin, self.end = (n * number // size() for number in (rank(), rank() + 1))

    @property
    def part(self):
        """Part of the batch, by which a mean over the share counts."""
        return (self.end - self.begin) / self.n

    def of(self, values):
        """The share of values of all frames; a process without any does one that does not count, as means need."""
        return values[self.begin : max(self.end, self.begin + 1)]

    def gathered(self, values):
        """Values (frames of the share, ...) of all shares, without gradients."""
        whole = values.new_zeros(self.n, *values.shape[1:])
        whole[self.begin : self.end] = values.detach()[: self.end - self.begin]
        add_up([whole])
        return whole
