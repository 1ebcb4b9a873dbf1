import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from conftest import TINY

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.core.archive import Archive, ArchiveWriter
from openmm_cgvae.core.errors import ModelFileError, OutputError
from openmm_cgvae.core.noise import gaussian_noise
from openmm_cgvae.io import modelfile
from openmm_cgvae.io.modelfile import ModelFile


def rewritten(source, target, **members):
    """Copy a model file with some of its members, by their last name, replaced, and checksums that fit."""
    with Archive(source) as old, ArchiveWriter(target, folder="model") as new:
        for name in old.names:
            last = name.rsplit("/", 1)[-1]
            new.write(name, members.get(last.replace(".", "_")) or old.read(name))
    return target


def metadata_of(path):
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/extra/metadata.json"))
        return json.loads(archive.read(name))


def with_metadata(source, target, **changes):
    return rewritten(source, target, metadata_json=json.dumps(metadata_of(source) | changes).encode())


def refusal(path):
    with pytest.raises(ModelFileError) as caught:
        ModelFile.load(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ------------------------------------------------------------------------------------------------- round trip


def test_saved_model_loads_as_the_same(model_path, tmp_path, dataset):
    file = Model.load(model_path).file
    assert file.mapping == dataset.description["mapping"]
    assert file.potential == dataset.description["potential"]
    assert file.metadata["name"] == "untrained"
    assert file.metadata["format_version"] == modelfile.FORMAT_VERSION
    assert file.metadata["units"]["positions"] == "nm"
    file.save(tmp_path / "again.pt")
    again = Model.load(tmp_path / "again.pt").file
    assert (again.mapping, again.potential, again.metadata) == (file.mapping, file.potential, file.metadata)
    beads, noise = torch.rand(2, 3, 3), torch.randn(2, 3, TINY.latent)
    torch.testing.assert_close(again.module(beads, noise), file.module(beads, noise), rtol=0, atol=0)


def test_model_without_a_potential_round_trips(model_path, tmp_path):
    file = Model.load(model_path).file
    file.potential = None
    file.save(tmp_path / "bare.pt")
    assert ModelFile.load(tmp_path / "bare.pt").potential is None


ALONE = """
import sys
for name in ("openmm_cgvae", "openmm", "mdtraj", "rdkit", "scipy"):
    sys.modules[name] = None
import numpy, torch
path, arrays, dtype = sys.argv[1:]
module = torch.jit.load(path).to(getattr(torch, dtype))
given = numpy.load(arrays)
with torch.inference_mode():
    atoms = module(torch.from_numpy(given["beads"]), torch.from_numpy(given["noise"]))
    rebuilt = module.reconstruct(atoms)
numpy.savez(arrays, atoms=atoms.numpy(), rebuilt=rebuilt.numpy())
"""


@pytest.mark.parametrize(("precision", "dtype"), [("single", "float32"), ("double", "float64")])
def test_file_runs_with_torch_alone_and_gives_the_same_numbers(precision, dtype, model_path, dataset, tmp_path):
    backmapper = Backmapper.load(model_path, precision=precision)
    beads = backmapper.mapping.project(dataset.positions[:5]).astype(dtype)
    noise = gaussian_noise(7, np.arange(5), [0], 3 * TINY.latent).reshape(5, 3, TINY.latent).astype(dtype)
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, beads=beads, noise=noise)
    command = [sys.executable, "-c", ALONE, model_path, arrays, dtype]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tolerance = {"single": 1e-6, "double": 1e-12}[precision]
    with np.load(arrays) as alone:
        assert alone["atoms"].dtype == dtype
        expected = backmapper.sample(beads, seed=7)[:, 0]
        np.testing.assert_allclose(alone["atoms"], expected, rtol=0, atol=tolerance)
        np.testing.assert_allclose(alone["rebuilt"], backmapper.reconstruct(expected), rtol=0, atol=tolerance)


# ------------------------------------------------------------------------------------------------- refusals


def test_missing_file_is_refused(tmp_path):
    assert "model.pt does not exist" in refusal(tmp_path / "model.pt")


def zip_file(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/extra/readme.txt", "text")


@pytest.mark.parametrize(
    "write",
    [
        zip_file,
        lambda path: path.write_text("weights\n"),
        lambda path: path.write_bytes(b""),
        lambda path: torch.save({"model": torch.zeros(3)}, path),
        lambda path: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path)),
    ],
    ids=["zip", "text", "empty", "torch.save", "torchscript"],
)
def test_foreign_files_are_refused_in_one_line(write, tmp_path):
    write(tmp_path / "model.pt")
    assert "model file of openmm_cgvae" in refusal(tmp_path / "model.pt")


def test_folder_is_refused(tmp_path):
    assert "cannot be read: Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("content", ["[]", "3", "null", "{}", '{"format": "openmm_cgvae model"}'])
def test_metadata_of_another_make_are_refused(content, model_path, tmp_path):
    refusal(rewritten(model_path, tmp_path / "model.pt", metadata_json=content.encode()))


def test_other_format_is_refused(model_path, tmp_path):
    path = with_metadata(model_path, tmp_path / "model.pt", format="other model")
    assert "is a 'other model', 'openmm_cgvae model' is expected" in refusal(path)


def test_newer_version_is_refused_with_both_versions(model_path, tmp_path):
    newer = modelfile.FORMAT_VERSION + 1
    path = with_metadata(model_path, tmp_path / "model.pt", format_version=newer, package_version="99.0")
    message = refusal(path)
    assert f"has format version {newer}, this package reads up to {modelfile.FORMAT_VERSION}: upgrade" in message
    assert "99.0" in message


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
def test_truncated_file_is_refused(part, model_path, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(model_path.read_bytes()[: int(part * model_path.stat().st_size)])
    assert "no zip archive, or a damaged one" in refusal(path)


def test_code_that_torch_cannot_load_matters_to_those_alone_who_trust_it(model_path, tmp_path):
    path = rewritten(model_path, tmp_path / "model.pt", data_pkl=b"\x80\x02garbage")
    Model.load(path)
    with pytest.raises(ModelFileError, match="is damaged: torch cannot load it"):
        Model.load(path, trust=True)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickle_in_a_foreign_file_is_not_executed(tmp_path):
    torch.save(Malicious(tmp_path / "executed"), tmp_path / "model.pt")
    refusal(tmp_path / "model.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("member", ["data_pkl", "constants_pkl"])
def test_pickle_smuggled_into_a_model_file_is_not_executed(member, model_path, tmp_path):
    evil = pickle.dumps(Malicious(tmp_path / "executed"), protocol=2)
    path = rewritten(model_path, tmp_path / "model.pt", **{member: evil})
    assert path.stat().st_size != model_path.stat().st_size
    Model.load(path)
    assert not (tmp_path / "executed").exists()
    # Proof that the pickle would act.
    pickle.loads(evil)
    assert (tmp_path / "executed").exists()


def test_existing_output_is_left_alone_unless_it_may_be_replaced(model_path, tmp_path):
    file = Model.load(model_path).file
    path = tmp_path / "model.pt"
    path.write_text("old")
    with pytest.raises(OutputError, match="exists"):
        file.save(path)
    assert path.read_text() == "old"
    file.save(path, overwrite=True)
    ModelFile.load(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_and_leaves_the_old_file(model_path, tmp_path, full_disk):
    file = Model.load(model_path).file
    path = tmp_path / "model.pt"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"output .*model\.pt cannot be written"):
        file.save(path, overwrite=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_swapped_beads_are_refused_by_name(model_path, tmp_path):
    """As somebody changes them who unpacks the file and packs it again."""
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(model_path) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("mapping.json"):
                mapping = json.loads(content)
                mapping["beads"].reverse()
                content = json.dumps(mapping).encode()
            new.writestr(name, content)
    assert "its member extra/mapping.json was changed since it was written" in refusal(path)


def test_a_file_that_lost_its_checksums_is_refused(model_path, tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(model_path) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            if not name.endswith("checksums.json"):
                new.writestr(name, old.read(name))
    assert "has no checksums" in refusal(path)


# ------------------------------------------------------------------------------------------------- versions


def test_older_version_is_migrated_step_by_step(model_path, tmp_path, monkeypatch):
    def to_two(extra):
        return extra | {"metadata.json": extra["metadata.json"] | {"format_version": 2, "steps": ["one to two"]}}

    def to_three(extra):
        steps = [*extra["metadata.json"]["steps"], "two to three"]
        return extra | {"metadata.json": extra["metadata.json"] | {"format_version": 3, "steps": steps}}

    path = with_metadata(model_path, tmp_path / "model.pt", format_version=1)
    monkeypatch.setattr(modelfile, "MIGRATIONS", {1: to_two, 2: to_three})
    assert ModelFile.load(path).metadata["steps"] == ["one to two", "two to three"]


def test_version_that_nothing_migrates_is_refused(model_path, tmp_path):
    path = with_metadata(model_path, tmp_path / "model.pt", format_version=0)
    assert "version 0" in refusal(path)
