"""Packed coordinates that would make the library that unpacks them run away are found before; sound ones never."""

import subprocess
import sys

import mdtraj
import numpy as np
import pytest
from conftest import DATA

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.formats.xtc import HEAD_TYPE, XTCFrames
from openmm_cgvae.formats.xtcstream import stream_fits


def streams(path):
    """Packed coordinates of every frame, with what their head says."""
    frames, data = XTCFrames.read(path), path.read_bytes()
    for begin in frames.offsets[:-1].tolist():
        head = np.frombuffer(data, HEAD_TYPE, 1, begin)[0]
        length = int.from_bytes(data[begin + 88 : begin + 92], "big")
        packed = data[begin + 92 : begin + 92 + length]
        yield packed, frames.n_atoms, head["least"].tolist(), head["most"].tolist(), int(head["small"])


@pytest.mark.parametrize("spread", [0.001, 0.1, 3.0, 2_000.0])
@pytest.mark.parametrize("n_atoms", [10, 300])
def test_every_sound_frame_fits(spread, n_atoms, tmp_path):
    rng = np.random.default_rng(n_atoms)
    steps = rng.normal(0, spread, (20, n_atoms, 3))
    for kind, x in (("scattered", steps), ("chain", steps.cumsum(1)), ("still", np.zeros_like(steps))):
        path = tmp_path / f"{kind}.xtc"
        with mdtraj.formats.XTCTrajectoryFile(str(path), "w") as file:
            file.write(x.astype(np.float32))
        assert all(stream_fits(*one) for one in streams(path))
        assert XTCFrames.read(path).frames(np.arange(20))[0].shape == x.shape


def test_a_frame_of_more_bytes_than_are_unpacked_into_is_refused(tmp_path):
    """3 x 22 numbers are unpacked into 1.2 times as many words, 79, of which three are not for the stream."""
    data = (DATA / "alanine_dipeptide.xtc").read_bytes()
    frame = data[: XTCFrames.read(DATA / "alanine_dipeptide.xtc").offsets[1]]
    for length, fits in ((4 * 76, True), (4 * 76 + 1, False), (4 * 77, False)):
        path = tmp_path / f"{length}.xtc"
        path.write_bytes(frame[:88] + length.to_bytes(4, "big") + frame[92:].ljust(-(-length // 4) * 4, b"\0"))
        if fits:
            assert XTCFrames.read(path).frames(np.arange(1))[0].shape == (1, 22, 3)
        else:
            with pytest.raises(DataError, match="damaged in frame 0"):
                XTCFrames.read(path).frames(np.arange(1))


def test_runs_behind_the_last_particle_and_streams_that_end_early_do_not_fit():
    found = list(streams(DATA / "alanine_dipeptide.xtc"))
    assert all(stream_fits(*one) for one in found)
    packed, n_atoms, *rest = found[0]
    assert not stream_fits(packed[: len(packed) // 2], n_atoms, *rest)
    assert not stream_fits(b"\xff" * len(packed), n_atoms - 1, *rest)
    assert not stream_fits(packed, n_atoms, rest[0], rest[1], 8)
    assert not stream_fits(packed, n_atoms, [0, 0, 0], [2**31 - 1] * 3, rest[2])


READ = """
import sys, numpy as np
from pathlib import Path
from openmm_cgvae.core.errors import CGVAEError
from openmm_cgvae.formats.xtc import XTCFrames
path, content, rng = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes(), np.random.default_rng(int(sys.argv[3]))
for _ in range(1000):
    changed = bytearray(content)
    for place in rng.integers(len(changed), size=rng.integers(1, 20)):
        changed[place] = rng.integers(256)
    path.write_bytes(changed)
    try:
        frames = XTCFrames.read(path, salvage=True)
        frames.frames(np.arange(frames.n_frames))
    except CGVAEError:
        pass
print("survived")
"""


@pytest.mark.slow
def test_a_thousand_damaged_files_do_not_end_the_process(tmp_path):
    given = DATA / "alanine_dipeptide.xtc"
    part = tmp_path / "part.xtc"
    part.write_bytes(given.read_bytes()[: int(XTCFrames.read(given).offsets[5])])
    done = subprocess.run(
        [sys.executable, "-c", READ, tmp_path / "a.xtc", part, "1"], capture_output=True, text=True, timeout=600
    )
    assert "survived" in done.stdout, (done.returncode, done.stderr[-500:])
