"""Bundled models are found by name, and are those that were released."""

import hashlib
import json

import pytest

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.core.errors import ModelFileError
from openmm_cgvae.io import bundled as index
from openmm_cgvae.io.bundled import pretrained_names, resolve_model
from openmm_cgvae.io.modelfile import FORMAT_VERSION, ModelFile


@pytest.fixture
def bundled(model_path, tmp_path, monkeypatch):
    """A folder of bundled models with one model, ``tiny``."""
    content = model_path.read_bytes()
    (tmp_path / "tiny.pt").write_bytes(content)
    entry = {"file": "tiny.pt", "sha256": hashlib.sha256(content).hexdigest(), "description": "untrained"}
    (tmp_path / "index.json").write_text(json.dumps({"tiny": entry}))
    monkeypatch.setattr(index, "PRETRAINED", tmp_path)
    return tmp_path


def test_bundled_model_is_found_by_name(bundled):
    assert pretrained_names() == {"tiny": "untrained"}
    assert resolve_model("tiny") == bundled / "tiny.pt"
    assert Backmapper.load("tiny").n_atoms == 22


def test_tampered_bundled_model_is_refused(bundled):
    content = bytearray((bundled / "tiny.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (bundled / "tiny.pt").write_bytes(content)
    with pytest.raises(ModelFileError, match="bundled model tiny is damaged"):
        resolve_model("tiny")


def test_bundled_model_whose_file_is_gone_is_refused(bundled):
    (bundled / "tiny.pt").unlink()
    with pytest.raises(ModelFileError, match="tiny"):
        resolve_model("tiny")


def test_path_is_a_path(model_path):
    assert resolve_model(str(model_path)) == model_path


def test_unknown_model_gets_the_nearest_name(bundled):
    with pytest.raises(ModelFileError, match=r"'tny' is neither a file nor a bundled model \(tiny\); did you mean"):
        resolve_model("tny")


def test_every_bundled_model_is_the_released_one():
    for name in pretrained_names():
        assert ModelFile.load(resolve_model(name)).metadata["format_version"] == FORMAT_VERSION
