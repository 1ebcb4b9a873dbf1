"""Calls in threads keep their order, raise the first error, and stop at it or at an interrupt."""

import _thread
import subprocess
import sys
import time

import pytest

from openmm_cgvae.app.parallel import available_cores, in_threads


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order(workers):
    def late_first(k):
        time.sleep(0.01 * (5 - k))
        return k * k

    assert list(in_threads(late_first, range(5), workers)) == [0, 1, 4, 9, 16]


def test_calls_run_at_the_same_time():
    started = time.perf_counter()
    list(in_threads(lambda _: time.sleep(0.3), range(4), 4))
    assert time.perf_counter() - started < 0.9


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

    def interrupt_at_three(k):
        called.append(k)
        if k == 3:
            _thread.interrupt_main()
        time.sleep(0.02)

    with pytest.raises(KeyboardInterrupt):
        list(in_threads(interrupt_at_three, range(200), 2))
    assert len(called) < 50


def test_works_while_python_ends():
    code = (
        "import atexit; from openmm_cgvae.app.parallel import in_threads\n"
        "atexit.register(lambda: print(list(in_threads(abs, [-1, -2, -3], 2))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "[1, 2, 3]", done.stderr


def test_there_is_a_core():
    assert available_cores() >= 1
