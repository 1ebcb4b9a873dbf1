"""A model for any protein is trained on chains: resumable to the bit, interruptible, and its file can be used."""

import csv
import os
import signal

import numpy as np
import pytest
import torch
from proteintrainings import SMALL, chains, packed, trainer

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.core.errors import OutputError, SettingsError, TrainingError
from openmm_cgvae.io.modelfile import ModelFile
from openmm_cgvae.io.tensors import save_tensors
from openmm_cgvae.preparation.structures import beads_of
from openmm_cgvae.proteins.chains import Chain, PackedChains
from openmm_cgvae.proteins.crops import MARGIN, cropped
from openmm_cgvae.proteins.crystalgeometry import ProteinGeometry, disulfides_of
from openmm_cgvae.training.proteinbatch import joined
from openmm_cgvae.training.proteinconfig import ProteinConfig
from openmm_cgvae.training.proteinexport import export_protein
from openmm_cgvae.training.proteins import ProteinTrainer


def rows_of(folder):
    with (folder / "training.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same_run(folder, other):
    """The same checkpoint to the byte, and the same log, but for the time."""
    contents = []
    for path in (folder, other):
        state = torch.load(path / "checkpoint.pt", weights_only=True)
        save_tensors(path / "untimed.pt", {name: part for name, part in state.items() if name != "seconds"})
        contents.append((path / "untimed.pt").read_bytes())
        (path / "untimed.pt").unlink()
    assert contents[0] == contents[1]
    for row, same in zip(rows_of(folder), rows_of(other), strict=True):
        assert {k: v for k, v in row.items() if k != "seconds"} == {k: v for k, v in same.items() if k != "seconds"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder of ten updates in one go."""
    folder = tmp_path_factory.mktemp("protein") / "whole"
    trainer(folder).run(validate_every=5, progress=False)
    return folder


@pytest.fixture(scope="module")
def model(whole):
    """The model file of that."""
    path = whole.parent / "model.pt"
    export_protein(whole, path, "tiny", packed())
    return path


# ------------------------------------------------------------------------------------------------- going on


@pytest.mark.parametrize("at", [1, 5, 7])
def test_interrupted_and_resumed_gives_the_same_bits(at, whole, tmp_path, monkeypatch):
    stopped = trainer(tmp_path)
    original = stopped._step

    def step():
        if stopped.update == at - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original()

    monkeypatch.setattr(stopped, "_step", step)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(validate_every=5, progress=False)
    resumed = trainer(tmp_path)
    assert resumed.update == at
    resumed.run(validate_every=5, progress=False)
    assert [row["update"] for row in rows_of(tmp_path)] == ["5", "10"]
    assert_same_run(tmp_path, whole)


def test_killed_run_does_its_last_updates_again(whole, tmp_path):
    killed = trainer(tmp_path)
    killed.run(minutes=0, progress=False)
    for _ in range(5):
        killed._losses.append(killed._step())
    # The line is written, the state is not.
    killed._log()
    again = trainer(tmp_path)
    assert again.update == 0
    again.run(validate_every=5, progress=False)
    assert_same_run(tmp_path, whole)


def test_random_state_of_the_process_does_not_matter(whole, tmp_path):
    torch.manual_seed(99)
    np.random.seed(99)
    trainer(tmp_path).run(validate_every=5, progress=False)
    assert_same_run(tmp_path, whole)


def test_no_minutes_are_no_updates(tmp_path):
    stopped = trainer(tmp_path)
    stopped.run(minutes=0, progress=False)
    assert (stopped.update, trainer(tmp_path).update) == (0, 0)


def test_folder_of_other_settings_or_data_is_refused(whole):
    with pytest.raises(SettingsError, match="other settings or data"):
        trainer(whole, seed=1)
    data = PackedChains.packed(chains()[::-1], [1, 2], ["validation", "train"], [0, 1], [True, True])
    with pytest.raises(SettingsError, match="other settings or data"):
        trainer(whole, data=data)


def test_damaged_checkpoint_is_refused(whole, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes((whole / "checkpoint.pt").read_bytes()[:-5000])
    with pytest.raises(TrainingError, match=r"checkpoint.pt cannot be read .* remove it"):
        trainer(tmp_path)


def test_folder_whose_parent_is_missing_is_refused(tmp_path):
    with pytest.raises(OutputError, match="create it first"):
        trainer(tmp_path / "a" / "b")


# ------------------------------------------------------------------------------------------------- learning


@torch.no_grad()
def mean_loss(training):
    """Loss of the training chain, over choices of what is known of it."""
    batch = joined([training.train[0]])
    return np.mean([float(training._loss(batch, np.random.default_rng(k))) for k in range(8)])


@pytest.mark.parametrize("mapping", ["ca", "com", "martini"])
def test_loss_falls(mapping, tmp_path):
    training = trainer(tmp_path, mapping=mapping, residues=78 * 30, learning_rate=0.1)
    before = mean_loss(training)
    training.run(progress=False)
    assert mean_loss(training) < 0.93 * before


def test_chances_are_even_over_clusters_and_less_at_poor_resolution(tmp_path):
    one, other = chains()
    data = PackedChains.packed([one, one, other, other], [1.0, 1.0, 3.0, np.nan],
                               ["train", "train", "train", "validation"], [0, 0, 1, 2], [True] * 4)  # fmt: skip
    np.testing.assert_allclose(trainer(tmp_path, data=data)._chances, np.array([1, 1, 1]) / 3)


def test_a_part_of_the_residues_seen_is_of_md(tmp_path):
    """Whatever the lengths and clusters: crystals of two clusters, frames of a short chain of a third."""
    one, other = chains()
    frame = Chain("aa/run:0", *(getattr(other, name)[:5] for name in ("residue_types", "atoms", "mask", "connected")))
    data = PackedChains.packed([one, other, frame, frame, other], [1.0, 1.0, np.nan, np.nan, 1.0],
                               ["train"] * 4 + ["validation"], [0, 1, 2, 2, 3], [True] * 5)  # fmt: skip
    train = trainer(tmp_path, data=data, md_fraction=0.3)
    seen = train._chances * train.train.lengths
    assert seen[2:].sum() / seen.sum() == pytest.approx(0.3)
    assert train._chances[0] == pytest.approx(train._chances[1])


@pytest.mark.parametrize("split", ["train", "test"])
def test_chains_without_validation_are_refused(split, tmp_path):
    data = PackedChains.packed(chains(), [1, 1], ["train", split], [0, 1], [True, True])
    with pytest.raises(TrainingError, match="no train or no validation split"):
        trainer(tmp_path / "new", data=data)
    assert not (tmp_path / "new").exists()


def test_amino_acids_that_are_not_there_are_named(tmp_path):
    whole_chain, small = chains()
    data = PackedChains.packed([small, whole_chain], [1, 1], ["train", "validation"], [0, 1], [True, True])
    with pytest.raises(TrainingError, match="no Q, H, K, M, W in the training chains"):
        trainer(tmp_path, data=data)


def test_gradients_that_are_not_finite_end_the_run(tmp_path, monkeypatch):
    training = trainer(tmp_path, residues=78 * 100)
    monkeypatch.setattr(
        training, "_loss", lambda *args: sum(p.sum() for p in training.network.parameters()) * torch.nan
    )
    with pytest.raises(TrainingError, match="no finite gradient"):
        training.run(progress=False)


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"layers": 1.5}, {"bins": "many"}, {"learning_rate": 0}, {"ema_decay": 1}, {"mapping": "residue"},
     {"backbone_fraction": 1.2}, {"bead_noise_angstrom": -1}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=f"{next(iter(wrong))}=.* is expected"):
        ProteinConfig(**wrong)


# ------------------------------------------------------------------------------------------------- crops


def test_crop_is_learned_from_where_its_surroundings_are_in_it():
    chain = chains()[0]
    part, inner = cropped(chain, np.random.default_rng(0), 50)
    assert len(part.residue_types) == len(inner) == 50 and 0 < inner.sum() < 50
    own = {tuple(place) for place in part.atoms[:, 1].tolist()}
    for place in part.atoms[inner, 1]:
        near = np.linalg.norm(chain.atoms[:, 1] - place, axis=1) < MARGIN
        assert {tuple(p) for p in chain.atoms[near, 1].tolist()} <= own


def test_crop_is_connected_where_the_chain_was():
    chain = chains()[0]
    part, _ = cropped(chain, np.random.default_rng(1), 40)
    link = np.linalg.norm(part.atoms[1:, 0] - part.atoms[:-1, 2], axis=1) < 1.8
    np.testing.assert_array_equal(part.connected, np.append(False, link))


def test_small_molecules_are_whole():
    chain = chains()[1]
    part, inner = cropped(chain, np.random.default_rng(0))
    assert part is chain and inner.all()


def test_what_is_not_inner_has_no_loss(tmp_path, monkeypatch):
    training = trainer(tmp_path)
    assert training._step() > 0
    monkeypatch.setattr("openmm_cgvae.training.proteins.cropped", lambda c, rng: (c, np.zeros(len(c.mask), dtype=bool)))
    assert training._step() == 0.0


# ------------------------------------------------------------------------------------------------- model files


def test_disulfides_are_found():
    assert disulfides_of(chains()[1]).tolist() == [[2, 39], [3, 31], [15, 25]]


def test_model_file_builds_a_protein(model):
    loaded = Model.load(model)
    assert loaded.serves == "any protein, on C-alpha positions"
    topology, beads = beads_of(chains()[1])
    atoms = loaded.bind(topology, positions=beads).sample(beads[None], seed=1)
    assert atoms.shape[:2] == (1, 1) and np.isfinite(atoms).all()
    known = loaded.metadata
    assert known["data"]["trained_on"] == "5k6d_B" and known["data"]["sha256"] == packed().sha256
    assert known["training"]["residues_seen"] == 780
    assert (known["mapping"], known["model"]["width"]) == ("ca", 16)
    assert set(known["validation"]) == {"backbone", "chi1", "chi2", "chi1_packed"}


@pytest.mark.parametrize(("mapping", "beads"), [("com", "com"), ("martini", "martini3")])
def test_model_files_of_other_mappings_build_a_protein(mapping, beads, tmp_path):
    trainer(tmp_path, mapping=mapping).run(minutes=0, progress=False)
    export_protein(tmp_path, tmp_path / "model.pt", chains=packed())
    topology, positions = beads_of(chains()[1], beads)
    sampler = Model.load(tmp_path / "model.pt").bind(topology, positions=positions, consistency="exact")
    atoms = sampler.sample(positions[None], seed=1)
    np.testing.assert_allclose(sampler.protein.project(atoms[0])[0], positions, atol=1e-4)


def test_export_takes_the_data_once(whole, model, tmp_path):
    assert (whole / "data.json").exists()
    again = export_protein(whole, tmp_path / "again.pt", "tiny")
    first = ModelFile.load(model)
    assert again.metadata["data"] == first.metadata["data"]
    assert all(torch.equal(value, first.state[name]) for name, value in again.module.state_dict().items())


def test_export_without_data_says_what_to_give(whole, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes((whole / "checkpoint.pt").read_bytes())
    with pytest.raises(TrainingError, match=r"give the data it was trained on \(--data\)"):
        export_protein(tmp_path, tmp_path / "model.pt")


def test_export_with_other_data_is_refused(whole, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes((whole / "checkpoint.pt").read_bytes())
    one, other = chains()
    data = PackedChains.packed([one, other], [2, 2], ["train", "validation"], [0, 1], [True, True])
    with pytest.raises(TrainingError, match="trained on other data"):
        export_protein(tmp_path, tmp_path / "model.pt", chains=data)


def test_export_of_no_training_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="does not exist: train first"):
        export_protein(tmp_path, tmp_path / "model.pt", chains=packed())


# ------------------------------------------------------------------------------------------------- fine-tuning


def test_start_gives_weights_and_geometry(model, whole, tmp_path):
    state = ModelFile.load(model).state
    fine = trainer(tmp_path, start=state)
    average = torch.load(whole / "checkpoint.pt", weights_only=True)["average"]
    for name, value in fine.network.state_dict().items():
        if not name.startswith("builder."):
            assert torch.equal(value, average[f"module.{name}"]), name
    kept = ProteinGeometry.load(tmp_path / "geometry.pt")
    for name, value in kept.bounds.items():
        assert torch.equal(value, ProteinGeometry.load(whole / "geometry.pt").bounds[name]), name


def test_fine_tuning_takes_chains_that_lack_amino_acids(model, tmp_path):
    small = chains()[1]
    data = PackedChains.packed([small, small], [np.nan] * 2, ["train", "validation"], [0, 0], [True, True])
    start = ModelFile.load(model).state
    fine = ProteinTrainer(data, tmp_path / "fine", ProteinConfig(**SMALL, residues=200), start)
    before = [parameter.detach().clone() for parameter in fine.network.parameters()]
    fine.run(progress=False)
    assert any(not torch.equal(old, new) for old, new in zip(before, fine.network.parameters(), strict=True))
    export_protein(tmp_path / "fine", tmp_path / "fine.pt", chains=data)
    topology, beads = beads_of(chains()[0])
    atoms = Model.load(tmp_path / "fine.pt").bind(topology, positions=beads).sample(beads[None], seed=1)
    assert np.isfinite(atoms).all()


def test_start_of_another_size_is_refused(model, tmp_path):
    with pytest.raises(SettingsError, match=r"differs in .* more weights"):
        trainer(tmp_path, start=ModelFile.load(model).state, width=24)


def test_start_of_a_model_of_one_molecule_is_refused(model_path, tmp_path):
    with pytest.raises(SettingsError, match="not one of any protein"):
        trainer(tmp_path, start=ModelFile.load(model_path).state)
