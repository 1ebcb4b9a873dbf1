"""Which tests `make unit` leaves out for their length: those of ``long.txt``, which `make durations` measures."""

import resource
from pathlib import Path

import pytest

LIST = Path(__file__).parent / "long.txt"
# Seconds of CPU time, which other jobs on the machine change little.
LONG = 0.5
HEAD = f"# Tests that took more than {LONG} s of CPU time, with all that they start; written by `make durations`."


def cpu_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Durations:
    """Writes the list after a run, also of several processes."""

    def __init__(self):
        self.seconds = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        self._begun = cpu_seconds()
        yield

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item, call):
        # The properties of the last report come from the process that ran it.
        if call.when == "teardown":
            item.user_properties.append(("cpu", cpu_seconds() - self._begun))

    def pytest_runtest_logreport(self, report):
        for name, value in report.user_properties:
            if name == "cpu":
                self.seconds[report.nodeid] = value

    def pytest_sessionfinish(self, session):
        if not hasattr(session.config, "workerinput"):
            known = sorted(name for name, seconds in self.seconds.items() if seconds > LONG)
            LIST.write_text("\n".join([HEAD, *known]) + "\n")


def pytest_addoption(parser):
    parser.addoption(
        "--write-long", action="store_true", help=f"write {LIST.name} from this run, which is of all tests"
    )


def pytest_configure(config):
    if config.getoption("--write-long"):
        config.pluginmanager.register(Durations())


def pytest_collection_modifyitems(items):
    known = set(LIST.read_text().splitlines())
    for item in items:
        if item.nodeid in known:
            item.add_marker(pytest.mark.long)
