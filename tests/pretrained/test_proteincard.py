"""The card beside a bundled model of any protein says what it was trained on, its limits and its figures."""

import json
import shutil

import pytest
from proteintrainings import packed, trainer

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.errors import DataError, ModelFileError
from openmm_cgvae.evaluation.proteins import evaluate_proteins
from openmm_cgvae.io import bundled
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.pretrained import bundle
from openmm_cgvae.pretrained import card as cards
from openmm_cgvae.pretrained.proteincard import bundle_protein, model_card
from openmm_cgvae.training.proteinexport import export_protein


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model file."""
    folder = tmp_path_factory.mktemp("card")
    trainer(folder / "run").run(minutes=0, progress=False)
    export_protein(folder / "run", folder / "model.pt", "tiny", packed())
    return folder / "model.pt"


@pytest.fixture(scope="module")
def evaluation():
    chains = list(packed())
    row = evaluate_proteins(chains, lambda chain: (chain.atoms[None], chain.mask, None))
    return {"rows": {"crystal": row}, "chains": [chain.name for chain in chains]}


def test_card_tells_data_limits_and_figures(model, evaluation):
    card = model_card(ModelFile.load(model), "tiny", evaluation)
    expected = ["# tiny", "C-alpha positions", "CC0 1.0", "1 chains to train on (78 residues, 1 clusters", "width 16"]
    expected += [packed().sha256, "0 residues seen", "## Limits", "2 test chains", "| RMSD all, A | 0 |"]
    assert [text for text in expected if text not in " ".join(card.split())] == []
    assert card.rstrip().endswith("\n\n5k6d")
    assert max(len(line) for line in card.splitlines() if not line.startswith("|")) <= cards.WIDTH


def test_card_names_the_model_that_it_began_with(model):
    file = ModelFile.load(model)
    file.metadata["data"]["start"] = file.metadata["data"] | {"model": "protein-ca", "trained_on": "1abc_A 2xyz_B-2"}
    card = model_card(file, "fine")
    assert "weights of `protein-ca`" in card and card.rstrip().endswith("1abc 2xyz 5k6d")


def test_card_tells_molecular_dynamics_from_crystals(model):
    file = ModelFile.load(model)
    file.metadata["data"] |= {"md_frames": 1, "held_out_by": "run", "trained_on": "run-0"}
    card = " ".join(model_card(file, "md").split())
    assert "1 are frames of molecular dynamics" in card and "no run is in two of them" in card
    assert "CC0" not in card and card.endswith("run-0")


def test_model_of_one_molecule_has_no_such_card(model_path):
    with pytest.raises(ModelFileError, match="one of any protein is expected"):
        model_card(ModelFile.load(model_path), "untrained")


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    for module in (bundled, bundle, cards):
        monkeypatch.setattr(module, "PRETRAINED", tmp_path)
    return tmp_path


def test_bundled_model_has_its_evaluation_and_card_beside_it(model, evaluation, pretrained, capsys):
    given = pretrained / "figures.json"
    given.write_text(json.dumps(evaluation))
    bundle_protein(model, "tiny", given, "a model")
    assert json.loads(bundled.bundled_file("tiny", "evaluation").read_text()) == evaluation
    card = bundled.bundled_file("tiny", "card").read_text()
    assert main(["info", "tiny"]) == 0
    assert "tiny.md" in capsys.readouterr().out
    # Once more, from where it is.
    bundle_protein(pretrained / "tiny.pt", "tiny", given, "a model")
    assert bundled.bundled_file("tiny", "card").read_text() == card
    assert bundled.resolve_model("tiny") == pretrained / "tiny.pt"


def test_missing_evaluation_leaves_nothing(model, pretrained):
    with pytest.raises(DataError, match=r"none.json does not exist: benchmarks/proteins.py makes one"):
        bundle_protein(model, "tiny", pretrained / "none.json", "a model")
    assert list(pretrained.iterdir()) == []


@pytest.mark.parametrize("missing", [None, "data", "training", "validation", "model"])
def test_info_shows_what_a_model_of_any_protein_tells(missing, model, tmp_path, capsys):
    file = Model.load(model).file
    file.metadata.pop(missing, None)
    file.mapping = None if missing == "data" else {}
    file.save(tmp_path / "less.pt")
    assert main(["info", str(tmp_path / "less.pt")]) == 0
    out = capsys.readouterr().out
    assert "any protein, on C-alpha positions" in out
    assert ("1 chains, 78 residues" in out) == (missing != "data")
    shutil.rmtree(tmp_path)
