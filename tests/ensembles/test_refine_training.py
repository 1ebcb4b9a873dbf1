"""Training of what refines samples: distances to minima, an interrupted run, and the model file of both networks."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from ligandmodels import DRUG, embedded, positions_of, random_model
from rdkit import Chem

from openmm_cgvae.chemistry.approximate import optimized
from openmm_cgvae.chemistry.symmetry import Symmetries
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.errors import DataError, SettingsError, TrainingError
from openmm_cgvae.ensembles.forcefield import energies_kj
from openmm_cgvae.ensembles.generate import ConformerModel
from openmm_cgvae.ensembles.packed import PackedEnsembles
from openmm_cgvae.ensembles.refinebatch import RefineBatch, RefineMolecule, distance_errors, superposed_rmsd
from openmm_cgvae.ensembles.refineconfig import RefineConfig
from openmm_cgvae.ensembles.refinetrainer import RefineTrainer
from openmm_cgvae.ensembles.relaxations import PackedRelaxations, Relaxation
from openmm_cgvae.metrics.pairrmsd import pair_rmsd
from openmm_cgvae.preparation.relaxedparts import pack_relaxations, sample_relaxations

TINY = RefineConfig(width=8, hidden=8, layers=1, steps=2, samples=48, batch_molecules=2, columns=4)


def relaxation_of(smiles, split):
    start = embedded(smiles, 3)
    end = optimized(Chem.Mol(start), "mmff")
    return Relaxation(smiles, split, positions_of(start).astype(np.float32), positions_of(end), energies_kj(end))


@pytest.fixture(scope="module")
def relaxations():
    given = [("CCCOC", "train"), ("CCCCO", "train"), ("CCOCCN", "validation")]
    return PackedRelaxations.packed(relaxation_of(smiles, split) for smiles, split in given)


def test_an_archive_gives_what_was_packed(relaxations, tmp_path):
    relaxations.save(tmp_path / "data.npz")
    found = PackedRelaxations.load(tmp_path / "data.npz").subset("validation")
    expected = relaxation_of("CCOCCN", "validation")
    assert len(found) == 1 and found[0].smiles == expected.smiles
    centred = expected.end - expected.end.mean(1, keepdims=True)
    assert np.abs(found[0].end - centred).max() < 6e-4
    assert np.array_equal(found[0].energies, expected.energies)
    broken = dict(relaxations._arrays, samples=np.array([1, 1, 1], dtype=np.int32))
    with pytest.raises(DataError, match="start has shape"):
        PackedRelaxations.check(broken, "data.npz")


def test_distances_to_minima_are_those_of_superposed_heavy_atoms(relaxations):
    molecules = [RefineMolecule(r, 1e3) for r in (relaxation_of(DRUG, "train"), *relaxations.subset("train"))]
    batch = RefineBatch.drawn(molecules, 3, np.random.default_rng(0))
    found = superposed_rmsd(batch.start, batch)
    for k, molecule in enumerate(molecules):
        heavy, own = molecule.heavy.numpy(), (batch.owner == k).numpy()
        symmetries = Symmetries(np.flatnonzero(heavy), np.arange(heavy.sum())[None], True)
        pairs = (x[own].transpose(0, 1).numpy() for x in (batch.start, batch.end))
        assert np.allclose(found[k], np.diag(pair_rmsd(*pairs, symmetries)), atol=2e-3)
    assert float(superposed_rmsd(batch.end, batch).max()) < 2e-3
    assert float(distance_errors(batch.end, batch)) == 0.0 < float(distance_errors(batch.start, batch))


def test_training_brings_samples_nearer_to_their_minima(relaxations, tmp_path):
    config = replace(TINY, samples=800, learning_rate=5e-3, columns=3, ema_decay=0.9)
    trainer = RefineTrainer(relaxations, tmp_path, config, progress=False)
    batch = RefineBatch.drawn(trainer.train, 3, np.random.default_rng(0))
    network = trainer.run(progress=False)
    with torch.no_grad():
        after = superposed_rmsd(network(batch.graph, batch.start)[-1], batch)
    assert after.mean() < 0.8 * superposed_rmsd(batch.start, batch).mean()


def test_a_run_goes_on_as_if_it_had_not_been_interrupted(relaxations, tmp_path):
    whole = RefineTrainer(relaxations, tmp_path / "whole", TINY, progress=False)
    whole.run(validate_every=2, progress=False)
    part = RefineTrainer(relaxations, tmp_path / "parts", TINY, progress=False)
    for _ in range(3):
        part._losses.append(part._step())
    part._save()
    part = RefineTrainer(relaxations, tmp_path / "parts", TINY, progress=False)
    assert part.seen == 24
    part.run(validate_every=2, progress=False)
    for name, weights in whole.average.module.state_dict().items():
        assert torch.equal(weights, part.average.module.state_dict()[name]), name
    with (tmp_path / "whole" / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["samples"]) for row in rows][-1] == 48 and np.isfinite(float(rows[-1]["rmsd_after"]))
    with pytest.raises(SettingsError, match="other settings"):
        RefineTrainer(relaxations, tmp_path / "whole", replace(TINY, seed=1), progress=False)


def test_data_without_a_split_are_refused(tmp_path):
    alone = PackedRelaxations.packed([relaxation_of("CCCOC", "train")])
    with pytest.raises(TrainingError, match="for validation"):
        RefineTrainer(alone, tmp_path, TINY, progress=False)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"ema_decay": 1.0}, {"window": 0}, {"distances": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        RefineConfig(**settings)


def test_samples_of_a_model_are_minimised_in_parts_and_train_what_refines_them(tmp_path, capsys):
    from test_torsion_training import ensemble_of

    ensembles = PackedEnsembles.packed(ensemble_of(*g) for g in (("CCCOC", "train"), ("CCOCCN", "validation")))
    base, parts = random_model(tmp_path / "base.pt"), tmp_path / "parts"
    model = ConformerModel.load(base)
    sample_relaxations(ensembles, parts, model, samples=3, progress=False)
    first = (parts / "train-00000.npz").read_bytes()
    (parts / "train-00000.npz").unlink()
    sample_relaxations(ensembles, parts, model, samples=3, progress=False)
    assert (parts / "train-00000.npz").read_bytes() == first
    with pytest.raises(SettingsError, match="other settings"):
        sample_relaxations(ensembles, parts, model, samples=4, progress=False)
    data, folder = tmp_path / "relaxations.npz", tmp_path / "run"
    pack_relaxations(parts).save(data)
    changes = [f"--set={name}={getattr(TINY, name)}" for name in ("width", "hidden", "layers", "steps", "samples")]
    assert main(["train", str(data), "-o", str(folder), *changes]) == 2
    assert "--start" in capsys.readouterr().err
    assert main(["train", str(data), "-o", str(folder), "--start", str(base), *changes]) == 0
    refined = ConformerModel.load(folder / "model.pt")
    assert refined.metadata["model"]["refinement"]["steps"] == 2
    found, again = (refined.conformers(DRUG, 3, seed=1) for _ in range(2))
    assert np.array_equal(positions_of(found), positions_of(again))
    assert not np.allclose(positions_of(found), positions_of(model.conformers(DRUG, 3, seed=1)), atol=1e-3)
