"""Training of torsion networks: what is learned from, and that an interrupted run goes on as if it had not been."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from ligandmodels import DRUG, SMALL, embedded, positions_of

from openmm_cgvae.chemistry.approximate import optimized
from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.errors import SettingsError, TrainingError
from openmm_cgvae.ensembles.forcefield import energies_kj
from openmm_cgvae.ensembles.packed import Ensemble, PackedEnsembles
from openmm_cgvae.ensembles.torsionbatch import TorsionBatch, TorsionEnsemble, torsion_loss
from openmm_cgvae.ensembles.torsionconfig import TorsionConfig
from openmm_cgvae.ensembles.torsiontrainer import TorsionTrainer, load_torsion_network
from openmm_cgvae.geometry.turning import turned_by_all
from openmm_cgvae.metrics.pairrmsd import pair_rmsd
from openmm_cgvae.preparation.ensembles import boltzmann_weights

TINY = TorsionConfig(**SMALL, conformers=160, batch_molecules=2, columns=4)


def ensemble_of(smiles, split):
    from rdkit import Chem

    mol = optimized(embedded(smiles, 4), "mmff")
    energies = energies_kj(mol)
    order = np.argsort(energies)
    energies = energies[order]
    return Ensemble(
        smiles=Chem.MolToSmiles(Chem.RemoveHs(mol)), split=split, source="test", method="mmff94s",
        elements=np.array([a.GetAtomicNum() for a in mol.GetAtoms()], dtype=np.uint8),
        positions=positions_of(mol)[order].astype(np.float32), energies=energies,
        weights=boltzmann_weights(energies).astype(np.float32),
        approximate=positions_of(embedded(smiles, 2, seed=5)).astype(np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def ensembles():
    # Canonical, since atoms are in the order of the SMILES.
    given = [("CCCOC", "train"), ("CCCCO", "train"), ("CCOCCN", "validation"), ("CCNCC", "test")]
    return PackedEnsembles.packed(ensemble_of(smiles, split) for smiles, split in given)


def test_references_are_rebuilt_on_the_geometry_of_others():
    from rdkit import Chem

    ensemble = ensemble_of(Chem.CanonSmiles(DRUG), "train")
    molecule = TorsionEnsemble(ensemble)
    targets, bases = molecule.drawn(molecule.chances(1e6), 8, np.random.default_rng(0))
    torsions = molecule.matched(targets, bases)
    x = torch.as_tensor(np.concatenate([ensemble.positions, ensemble.approximate])[bases]).double()
    arrays = molecule.arrays
    by = torch.as_tensor(torsions - molecule.angles[:, bases][arrays.first]).double()
    built = turned_by_all(x, torch.as_tensor(arrays.token_bonds), torch.as_tensor(arrays.moved), by).numpy()
    symmetries = heavy_symmetries(ensemble.mol())
    apart = np.diag(pair_rmsd(built, ensemble.positions[targets], symmetries))
    before = np.diag(pair_rmsd(x.numpy(), ensemble.positions[targets], symmetries))
    assert apart.mean() < 0.35 < before.mean()


def test_the_loss_of_an_even_density_is_the_logarithm_of_the_bins():
    scores, torsions = torch.zeros(3, 2, 36), torch.linspace(-9, 9, 6).reshape(3, 2)
    wanted = torch.tensor([[True, False], [True, True], [False, False]])
    assert float(torsion_loss(scores, torsions, wanted)) == pytest.approx(np.log(36), abs=1e-5)
    # All of it in the bin of the torsion, or half-way between two.
    sharp = torch.full((1, 1, 36), -50.0)
    sharp[..., 2:4] = 0.0
    angle = torch.tensor([[2 * np.pi * 2.5 / 36]])
    assert float(torsion_loss(sharp, angle, torch.ones(1, 1, dtype=torch.bool))) == pytest.approx(np.log(2), abs=1e-5)


def test_a_batch_is_the_same_for_the_same_generator(ensembles):
    molecules = [TorsionEnsemble(ensemble) for ensemble in ensembles.subset("train")]
    chances = [molecule.chances(300.0) for molecule in molecules]
    first, again = (TorsionBatch.drawn(molecules, chances, 3, np.random.default_rng(1), 0.1, 0.1) for _ in range(2))
    assert torch.equal(first.torsions, again.torsions) and torch.equal(first.known, again.known)
    assert torch.equal(first.graph.offsets, again.graph.offsets)


def test_a_run_goes_on_as_if_it_had_not_been_interrupted(ensembles, tmp_path):
    whole = TorsionTrainer(ensembles, tmp_path / "whole", TINY, progress=False)
    whole.run(validate_every=50, progress=False)
    for _ in range(2):
        part = TorsionTrainer(ensembles, tmp_path / "parts", TINY, progress=False)
        stop = part.seen + 80
        part.config = replace(TINY, conformers=stop)
        # The rate falls over all that is to be seen.
        step, config = part._step, TINY

        def stepped(part=part, step=step, config=config):
            short, part.config = part.config, config
            loss = step()
            part.config = short
            return loss

        part._step = stepped
        part._identity = lambda whole=whole: whole._identity()
        part.run(validate_every=50, progress=False)
    for name, weights in whole.average.module.state_dict().items():
        assert torch.equal(weights, part.average.module.state_dict()[name]), name
    with (tmp_path / "whole" / "training.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["conformers"]) for row in rows] == [160] and np.isfinite(float(rows[-1]["nothing_known"]))
    _, config, progress = load_torsion_network(tmp_path / "whole")
    assert config == TINY and progress["seen"] == 160


def test_a_folder_of_another_run_or_damaged_is_refused(ensembles, tmp_path):
    short = replace(TINY, conformers=8)
    TorsionTrainer(ensembles, tmp_path / "run", short, progress=False).run(progress=False)
    with pytest.raises(SettingsError, match="other settings"):
        TorsionTrainer(ensembles, tmp_path / "run", replace(short, seed=1), progress=False)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TrainingError, match="cannot be read"):
        TorsionTrainer(ensembles, tmp_path / "run", short, progress=False)


def test_molecules_that_do_not_turn_are_refused(tmp_path):
    given = [("C", "train"), ("CC", "validation")]
    rigid = PackedEnsembles.packed(ensemble_of(smiles, split) for smiles, split in given)
    with pytest.raises(TrainingError, match="turns about a bond"):
        TorsionTrainer(rigid, tmp_path / "run", TINY, progress=False)


@pytest.mark.parametrize("settings", [{"width": 0}, {"dropout": 1.0}, {"temperature": 0}, {"learning_rate": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        TorsionConfig(**settings)


def test_the_commands_train_export_and_describe(ensembles, tmp_path, capsys):
    data, folder = tmp_path / "ensembles.npz", tmp_path / "run"
    ensembles.save(data)
    changes = [f"--set={name}={value}" for name, value in (*SMALL.items(), ("conformers", 64), ("batch_molecules", 2))]
    assert main(["train", str(data), "-o", str(folder), *changes]) == 0
    assert main(["export", str(folder), "-o", str(tmp_path / "again.pt"), "--name", "mine"]) == 0
    assert main(["info", str(tmp_path / "again.pt")]) == 0
    assert "any small molecule" in capsys.readouterr().out
    assert main(["train", str(data), "-o", str(folder), "--epochs", "3"]) == 2
    assert "--epochs" in capsys.readouterr().err
