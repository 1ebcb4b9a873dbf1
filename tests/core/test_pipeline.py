"""Reading ahead and writing behind: in order, bounded, with errors where they are seen, and no thread left."""

import threading
import time

import pytest

from openmm_cgvae.core.pipeline import read_ahead, run_pipeline


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Source:
    """Counts what was taken from it."""

    def __init__(self, n, error_at=None):
        self.n, self.error_at, self.taken = n, error_at, 0

    def __iter__(self):
        for i in range(self.n):
            if i == self.error_at:
                raise OSError("cannot read")
            self.taken += 1
            yield i


def test_results_are_written_in_the_order_of_the_items():
    written, counted = [], []

    def write(result):
        time.sleep(0.002 * (result % 3))
        written.append(result)

    run_pipeline(Source(30), lambda i: i * i, write, counted.append)
    assert written == [i * i for i in range(30)]
    assert counted == list(range(30))


def test_nothing_in_nothing_out():
    run_pipeline([], None, None)


def test_reading_computing_and_writing_overlap():
    # Broken if the three do not meet: the third item is read while the second is computed and the first is written.
    meeting = threading.Barrier(3, timeout=60)

    def meet_at(own):
        def work(item):
            if item == own:
                meeting.wait()
            return item

        return work

    run_pipeline(map(meet_at(2), range(5)), meet_at(1), meet_at(0))


def test_a_slow_writer_holds_the_reader_back():
    source, ahead, written = Source(50), [], []

    def write(result):
        time.sleep(0.003)
        ahead.append(source.taken - len(written))
        written.append(result)

    run_pipeline(source, lambda i: i, write, depth=2)
    assert len(written) == 50
    assert max(ahead) <= 2 * 2 + 3


def test_an_error_of_the_reader_comes_after_what_was_read():
    computed = []
    with pytest.raises(OSError, match="cannot read"):
        run_pipeline(Source(9, error_at=5), computed.append, lambda result: None)
    assert computed == [0, 1, 2, 3, 4]


def test_an_error_of_the_computing_stops_reading():
    source = Source(1000)
    with pytest.raises(ZeroDivisionError):
        run_pipeline(source, lambda i: 1 / (i - 3), lambda result: None)
    assert source.taken < 20


def test_an_error_of_the_writer_stops_everything():
    source, written = Source(1000), []

    def write(result):
        if result == 3:
            raise OSError("disk full")
        written.append(result)

    def compute(item):
        time.sleep(0.001)
        return item

    with pytest.raises(OSError, match="disk full"):
        run_pipeline(source, compute, write)
    assert written == [0, 1, 2]
    assert source.taken < 20


def test_the_error_of_the_last_item_is_raised_too():
    def write(result):
        if result == 4:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_pipeline(range(5), lambda i: i, write)


def test_an_interrupt_ends_the_threads():
    source = Source(1000)

    def compute(item):
        if item == 2:
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(source, compute, lambda result: None)
    assert source.taken < 20


def test_leaving_the_loop_stops_the_reading():
    source = Source(1000)
    items = read_ahead(source)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert source.taken <= 7
