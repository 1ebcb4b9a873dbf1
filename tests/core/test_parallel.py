"""Calls in threads keep their order, raise the first error, and stop at it or at an interrupt."""

import _thread
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from openmm_cgvae.core.parallel import available_cores, even_slices, in_threads, on_torch_threads, one_torch_thread


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order(workers):
    def late_first(k):
        time.sleep(0.01 * (5 - k))
        return k * k

    assert list(in_threads(late_first, range(5), workers)) == [0, 1, 4, 9, 16]


def test_calls_run_at_the_same_time():
    meeting = threading.Barrier(4, timeout=60)
    list(in_threads(lambda _: meeting.wait(), range(4), 4))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_raised_and_drops_the_rest(workers):
    called = []

    def fail_at_three(k):
        called.append(k)
        time.sleep(0.01)
        if k == 3:
            raise ValueError("the third")
        return k

    with pytest.raises(ValueError, match="the third"):
        list(in_threads(fail_at_three, range(100), workers))
    assert len(called) < 20


def test_an_interrupt_drops_the_rest():
    called = []
    # A shell lets what it starts in the background ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt_at_three(k):
        called.append(k)
        if k == 3:
            _thread.interrupt_main()
        time.sleep(0.02)

    with pytest.raises(KeyboardInterrupt):
        list(in_threads(interrupt_at_three, range(200), 2))
    signal.signal(signal.SIGINT, before)
    assert len(called) < 50


def test_works_while_python_ends():
    code = (
        "import atexit; from openmm_cgvae.core.parallel import in_threads\n"
        "atexit.register(lambda: print(list(in_threads(abs, [-1, -2, -3], 2))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "[1, 2, 3]", done.stderr


@pytest.mark.parametrize(
    ("n", "most", "expected"), [(0, 4, 0), (1, 256, 1), (7, 3, 3), (60, 256, 2), (300, 256, 4), (4000, 256, 16)]
)
def test_slices_cut_all_rows_evenly(n, most, expected):
    slices = even_slices(n, most)
    np.testing.assert_array_equal(np.concatenate([np.arange(n)[part] for part in slices] or [[]]), np.arange(n))
    lengths = [part.stop - part.start for part in slices]
    assert max(lengths, default=0) <= most
    assert len(set(lengths[:-1])) <= 1
    assert len(slices) == expected


def test_workers_have_one_thread_of_torch_each_and_others_keep_theirs(set_torch_threads):
    set_torch_threads(3)
    assert list(on_torch_threads(lambda _: torch.get_num_threads(), range(4), 2)) == [1, 1, 1, 1]
    assert torch.get_num_threads() == 3
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [3]
    assert list(on_torch_threads(lambda _: torch.get_num_threads(), range(1), 2)) == [3]
    with one_torch_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_there_is_a_core():
    assert available_cores() >= 1
