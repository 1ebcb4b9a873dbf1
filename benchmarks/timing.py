"""Times that can be trusted: what is compared alternates, and the best of several rounds counts."""

import resource
import time
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

__all__ = ["alternating", "clock", "gemm", "gemm_rate", "matrix_products", "peak_memory_mb", "peak_of"]

ROUNDS = 5
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::baddbmm_")


def clock():
    """Seconds: CPU time on one thread, which other jobs disturb less, wall time on several."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def alternating(functions, rounds=ROUNDS):
    """Best seconds of each function of a dict, called in turn after one round that does not count.

    Returns
    -------
    dict
        The keys of `functions` to seconds.
    """
    times = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            started = clock()
            function()
            times[name].append(clock() - started)
    return {name: min(values[1:]) for name, values in times.items()}


def gemm(n=1024):
    """A float32 matrix product of 2 n^3 operations, to be timed beside what is compared with it."""
    a, b = torch.randn(n, n), torch.randn(n, n)
    return lambda: a @ b


def gemm_rate(n=1024):
    """The machine's float32 matrix product rate, operations/s."""
    return 2 * n**3 / alternating({"gemm": gemm(n)}, rounds=10)["gemm"]


def matrix_products(function):
    """Operations of the matrix products in a call, and their share of its time, as torch's profiler tells them.

    Element-wise work, sums over neighbours and sweeps do not count.
    """
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_flops=True) as counter:
        function()
    events = counter.key_averages()
    found = [event for event in events if event.key in PRODUCTS]
    seconds = [sum(event.self_cpu_time_total for event in part) for part in (found, events)]
    return sum(event.flops for event in found), seconds[0] / seconds[1]


def peak_of(function):
    """Largest resident memory during a call above that before it, MB; the first call of a process, on Linux.

    The peak so far is forgotten first: importing and scripting have needed more than what is left of them.
    """
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident_mb("VmRSS")
    function()
    return _resident_mb("VmHWM") - before


def _resident_mb(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def peak_memory_mb():
    """Largest resident memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
