"""A lock is held by one at a time, and ends with the process that holds it."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.core.lock import locked, locking

HOLDER = """
import sys, time
from openmm_cgvae.core.lock import locked
with locked(*sys.argv[1:]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Starts processes that hold the locks of files."""
    started = []

    def start(*paths):
        process = subprocess.Popen([sys.executable, "-c", HOLDER, *map(str, paths)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def files(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_another_process_is_refused_until_the_first_is_killed(tmp_path, holder):
    output = tmp_path / "aa.dcd"
    first = holder(tmp_path / "cg.dcd", output)
    with (
        pytest.raises(OutputError, match=rf"aa\.dcd is being written by process {first.pid} on .*: wait"),
        locked(output),
    ):
        pass
    # By a link too.
    (tmp_path / "link.dcd").symlink_to(output)
    with pytest.raises(OutputError, match="is being written"), locked(tmp_path / "link.dcd"):
        pass
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert ".aa.dcd.lock" in files(tmp_path)
    with locked(output):
        pass
    # Whoever is killed leaves a file, and the next one takes it away.
    assert ".aa.dcd.lock" not in files(tmp_path)


def test_a_folder_is_locked_as_a_whole(tmp_path, holder):
    holder(tmp_path)
    with pytest.raises(OutputError, match=rf"{tmp_path.name} is being written by process"), locked(tmp_path):
        pass
    with locked(tmp_path / "other"):
        pass


def test_a_thread_may_take_its_own_lock_again_and_others_may_not(tmp_path):
    class Trainer:
        folder = tmp_path
        none = None

        @locking("folder")
        def run(self, more):
            with locked(self.folder, None):
                return more

        @locking("none")
        def free(self):
            return True

    assert Trainer().run(more=3) == 3
    with locked(tmp_path), ThreadPoolExecutor(1) as pool:
        assert Trainer().free()
        with pytest.raises(OutputError, match="another thread of this process"):
            pool.submit(Trainer().run, 3).result()
    assert files(tmp_path) == []


def test_of_many_at_once_one_is_at_work(tmp_path):
    code = f"""
import os, time
from openmm_cgvae.core.errors import OutputError
from openmm_cgvae.core.lock import locked
for _ in range(40):
    try:
        with locked("{tmp_path}/aa.dcd"):
            os.close(os.open("{tmp_path}/alone", os.O_CREAT | os.O_EXCL))
            time.sleep(0.002)
            os.unlink("{tmp_path}/alone")
    except OutputError:
        time.sleep(0.001)
"""
    processes = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert process.communicate()[1] == ""
    assert files(tmp_path) == []
