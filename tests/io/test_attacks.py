"""Files made to do harm do none: nothing in a model file runs, writes, or takes all memory, before it is refused."""

import json
import os
import pickle
import resource
import subprocess
import sys
import time
import zipfile

import pytest
import torch
from hostile import OverwritesWhenLoaded, with_module
from torch import nn

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.archive import Archive, ArchiveWriter
from openmm_cgvae.core.errors import CGVAEError, ModelFileError, TrainingError
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.io.tensors import load_tensors

SECONDS, MEGABYTES = 2.0, 500


class SavesWhenLoaded(OverwritesWhenLoaded):
    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.path, self.training = state
        self.latent, self.bounded, self.mapped = 8, False, torch.zeros(1)
        torch.save(torch.zeros(3), self.path)


class LoopsWhenLoaded(OverwritesWhenLoaded):
    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]):
        self.path, self.training = state
        self.latent, self.bounded, self.mapped = 8, False, torch.zeros(1)
        k = 0
        while k >= 0:
            k = (k + 1) % 1000
        self.latent = k


class LeaksWhenCalled(nn.Module):
    """Gives the bytes of a file for coordinates."""

    def __init__(self, path):
        super().__init__()
        self.path: str = str(path)
        self.latent = 8

    def forward(self, beads: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return torch.from_file(self.path, False, 8, dtype=torch.uint8).to(beads.dtype)


class Foreign:
    """What a pickle calls ``os.system`` with."""

    def __init__(self, path):
        self.command = f"touch {path}"

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "victim.sh"
    path.write_text("echo precious\n")
    return path


def with_members(source, target, changes, more=()):
    """A copy of an archive with members changed by functions of their content, and others added, sealed anew."""
    with Archive(source) as old, ArchiveWriter(target, folder="model") as new:
        for name in old.names:
            last = name.rsplit("/", 1)[-1]
            new.write(name, changes[last](old.read(name)) if last in changes else old.read(name))
        for name, content in more:
            new.write(name, content)
    return target


# ------------------------------------------------------------------------------------------------- nothing runs


@pytest.mark.parametrize("attack", [OverwritesWhenLoaded, SavesWhenLoaded, LeaksWhenCalled])
def test_code_in_a_model_file_does_not_run(attack, victim, model_path, backmapper, dataset, tmp_path, capsys):
    path = with_module(model_path, tmp_path / "evil.pt", attack(victim))
    before = sorted(tmp_path.iterdir())
    assert main(["info", str(path)]) == 0
    beads = backmapper.mapping.project(dataset.positions[:2])
    # Its weights and settings are a model, whatever else is in the file.
    assert (Model.load(path).bind().sample(beads, seed=1) == backmapper.sample(beads, seed=1)).all()
    assert victim.read_text() == "echo precious\n"
    assert sorted(tmp_path.iterdir()) == before


def test_the_attack_would_succeed_on_those_who_trust_the_file(victim, model_path, tmp_path):
    path = with_module(model_path, tmp_path / "evil.pt", OverwritesWhenLoaded(victim))
    Model.load(path, trust=True)
    assert victim.read_text().startswith("AAAAAAAA")


def test_an_endless_loop_is_not_begun(victim, model_path, tmp_path):
    path = with_module(model_path, tmp_path / "evil.pt", LoopsWhenLoaded(victim))
    assert main(["info", str(path)]) == 0
    Model.load(path)


def test_the_code_of_a_file_without_a_model_is_refused_not_run(victim, tmp_path):
    extra = {"metadata.json": "{}", "mapping.json": "{}", "potential.json": "null"}
    path = tmp_path / "evil.pt"
    torch.jit.save(torch.jit.script(OverwritesWhenLoaded(victim)), str(path), _extra_files=extra)
    with pytest.raises(ModelFileError):
        Model.load(path)
    assert victim.read_text() == "echo precious\n"


def checkpoint_of(path):
    return load_tensors(path, "checkpoint", "train", TrainingError)


@pytest.mark.parametrize("kind", ["os.system", "builtins.eval", "torch.load"])
def test_a_checkpoint_that_names_other_things_than_tensors_is_refused(kind, tmp_path):
    made = tmp_path / "made"
    module, name = kind.split(".")
    text = f"c{module}\n{name}\n(Vtouch {made}\ntR.".encode()
    path = tmp_path / "checkpoint.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + text)
    with pytest.raises(TrainingError, match=r"names|operation"):
        checkpoint_of(path)
    assert not made.exists()


def test_a_pickled_object_is_no_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"model": Foreign(tmp_path / "made")}, path)
    with pytest.raises(TrainingError, match=r"names (posix|nt|os)\.system"):
        checkpoint_of(path)
    path.write_bytes(pickle.dumps(Foreign(tmp_path / "made")))
    with pytest.raises(TrainingError, match="no zip archive"):
        checkpoint_of(path)
    assert not (tmp_path / "made").exists()


# ------------------------------------------------------------------------------------------------- nothing is taken


def bomb(path, _):
    """256 MB of zeros in 0.3 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("model/data/0", "w") as member:
        block = bytes(1 << 20)
        for _ in range(256):
            member.write(block)


def much_json(path, model_path):
    """A small model file with 50 MB of JSON."""
    with_members(model_path, path, {"mapping.json": lambda _: b"[" + b"0," * 25_000_000 + b"0]"})


def deep_json(path, model_path):
    with_members(model_path, path, {"metadata.json": lambda _: b"[" * 500_000})


def many_lists(path, model_path):
    with_members(model_path, path, {"metadata.json": lambda _: b"[" + b"[]," * 5_000_000 + b"[]]"})


def short_tensor(path, model_path):
    with_members(model_path, path, {"0": lambda content: content[:-1]})


def huge_tensor(path, model_path):
    """An index that says a tensor is of 10^12 numbers."""

    def grown(content):
        index = json.loads(content)
        next(iter(index.values()))["shape"] = [10**6, 10**6]
        return json.dumps(index).encode()

    with_members(model_path, path, {"weights.json": grown})


def huge_layer(path, model_path):
    def wide(content):
        metadata = json.loads(content)
        metadata["model"]["features"] = 10**9
        return json.dumps(metadata).encode()

    with_members(model_path, path, {"metadata.json": wide})


def endless_name(path, model_path):
    with_members(model_path, path, {}, [("../../escape.txt", b"text")])


def absolute_name(path, model_path):
    with Archive(model_path) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.names:
            new.writestr(f"model/{name}", old.read(name))
        new.writestr("/tmp/escape.txt", b"text")


def memo(path, model_path):
    """A pickle that asks Python for room for 2^31 objects, in a file of version 1, whose weights are found by it."""
    changed = {"data.pkl": lambda content: b"\x80\x02}r\xff\xff\xff\x7f.", "metadata.json": _of_version_1}
    with Archive(with_members(model_path, path, changed)) as old, zipfile.ZipFile(path.with_suffix(".1"), "w") as new:
        for name in old.names:
            if not name.endswith("weights.json"):
                new.writestr(f"model/{name}", old.read(name))
    path.with_suffix(".1").replace(path)


def _of_version_1(content):
    return json.dumps(json.loads(content) | {"format_version": 1}).encode()


ATTACKS = [bomb, much_json, deep_json, many_lists, short_tensor, huge_tensor, huge_layer, endless_name, absolute_name,
           memo]  # fmt: skip
LOAD = """
import resource, sys, time
import torch, openmm_cgvae.backmapping.fixed, openmm_cgvae.models.rebuild
from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.core.errors import ModelFileError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    seconds = []
    for _ in range(3):
        started = time.process_time()
        try:
            Model.load(path)
        except ModelFileError:
            seconds.append(time.process_time() - started)
    if len(seconds) == 3:
        print(path, min(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_made_to_take_memory_or_time_is_refused_at_once(attack, model_path, tmp_path):
    path = tmp_path / "evil.pt"
    attack(path, model_path)
    before = sorted(tmp_path.iterdir())
    most, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    # The least of a few: a garbage collection or a busy machine may slow any one.
    while len(seconds) < 5 and not (seconds and min(seconds) < SECONDS):
        started = time.process_time()
        with pytest.raises(ModelFileError, match=r"evil\.pt") as caught:
            Model.load(path)
        seconds.append(time.process_time() - started)
    assert "\n" not in str(caught.value)
    assert min(seconds) < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 1000 * MEGABYTES
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_all_of_them_in_a_process_of_their_own_stay_below_500_megabytes(model_path, tmp_path):
    paths = [tmp_path / f"{attack.__name__}.pt" for attack in ATTACKS]
    for path, attack in zip(paths, ATTACKS, strict=True):
        attack(path, model_path)
    done = subprocess.run([sys.executable, "-c", LOAD, *paths], capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(path) for path in paths], done.stderr
    for path, seconds, kilobytes in lines:
        assert float(seconds) < SECONDS and int(kilobytes) < 1000 * MEGABYTES, path


# ------------------------------------------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": "1"}, "format version '1', a whole number is expected"),
        ({"format_version": True}, "format version True"),
        ({"format_version": 1e400}, "format version inf"),
        ({"n_atoms": "22"}, "n_atoms is '22', a whole number"),
        ({"handedness": [2]}, r"handedness\[0\] is 2"),
        ({"bead_spread_nm": float("nan")}, "bead_spread_nm is nan, a number"),
        ({"model": {"features": -1}}, "features is -1"),
        ({"model": {"flow_steps": 10**15}}, "flow_steps is 10"),
        ({"data": {"frames": "many"}}, "frames is 'many'"),
        ({"training": []}, r"training is \[\]"),
        ({"kind": ["cgvae"]}, "kind is"),
    ],
)
def test_metadata_of_other_types_and_out_of_range_are_refused(changes, words, model_path, tmp_path, capsys):
    def changed(content):
        return json.dumps(json.loads(content) | changes).encode()

    path = with_members(model_path, tmp_path / "model.pt", {"metadata.json": changed})
    with pytest.raises(ModelFileError, match=words):
        ModelFile.load(path)
    assert main(["info", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_model_whose_settings_do_not_fit_its_weights_is_refused(model_path, tmp_path):
    def changed(content):
        metadata = json.loads(content)
        metadata["model"]["features"] = 24
        return json.dumps(metadata).encode()

    path = with_members(model_path, tmp_path / "model.pt", {"metadata.json": changed})
    with pytest.raises(CGVAEError, match="cannot be rebuilt"):
        Model.load(path)
