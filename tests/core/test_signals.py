"""What is cleaned up after Ctrl-C and SIGTERM, and what waits for the end of threads."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from openmm_cgvae.core.signals import Terminated, deferred_interruption, raised_sigterm, uninterrupted
from openmm_cgvae.core.worker import BatchWorker


def send(number):
    os.kill(os.getpid(), number)
    # A handler of Python runs between two instructions.
    time.sleep(0.01)


def test_sigterm_is_raised_and_its_handler_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), raised_sigterm():
        send(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_in_other_threads_nothing_changes():
    found = []

    def work():
        with raised_sigterm(), deferred_interruption() as interruption:
            found.append(interruption.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_noted_signal_is_raised_at_the_end(number, kind):
    done = []
    with pytest.raises(KeyboardInterrupt) as raised, deferred_interruption() as interruption:
        send(number)
        done.append(interruption.asked)
    assert done == [True]
    assert type(raised.value) is kind


def test_waiting_ends_though_it_is_interrupted():
    calls, hurried = [], []

    def wait():
        calls.append(None)
        if len(calls) < 3:
            raise Terminated if len(calls) == 1 else KeyboardInterrupt

    with pytest.raises(Terminated):
        uninterrupted(wait, lambda: hurried.append(None))
    assert (len(calls), len(hurried)) == (3, 2)


def test_a_worker_that_is_interrupted_ends_its_batch_and_drops_the_rest():
    started, done = threading.Event(), []

    def process(items):
        started.set()
        time.sleep(0.3)
        done.extend(items)

    worker = BatchWorker(process, batch=1)
    for item in range(5):
        worker.put(item)
    started.wait()
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        worker.close()
    assert done == [0]
    assert worker._thread not in threading.enumerate()


PROGRAM = """
import time
from openmm_cgvae.core.worker import BatchWorker
def process(items):
    time.sleep(0.2)
    print(*items, flush=True)
worker = BatchWorker(process, batch=1)
worker.put("first")
worker.put("second")
"""


def test_a_worker_that_is_never_closed_ends_with_python():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["first", "second"], "")
