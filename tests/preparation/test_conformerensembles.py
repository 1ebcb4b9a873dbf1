"""Reference ensembles hold distinct low minima of the right isomer; runs resume to the same bytes; nothing leaks."""

import hashlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from openmm_cgvae.chemistry.isomers import drawn_isomer
from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.cli.main import main
from openmm_cgvae.core.errors import DataError, MoleculeError, SettingsError
from openmm_cgvae.ensembles.packed import PackedEnsembles
from openmm_cgvae.metrics.pairrmsd import pair_rmsd
from openmm_cgvae.preparation.ensembleparts import chosen_molecules, pack_parts, sample_ensembles
from openmm_cgvae.preparation.ensembles import (
    SAME_ENERGY,
    EnsembleProtocol,
    boltzmann_weights,
    reference_ensemble,
)
from openmm_cgvae.preparation.scaffolds import scaffold, split_of, structure_key

QUICK = EnsembleProtocol(seeds=8, test_seeds=8, approximate=3)
SMALL = ["CCO", "CCCC", "CC(=O)OC", "c1ccccc1O", "C[C@H](F)CO", "CC(O)CF", "C1CCCC1O", "CCN", "OCCO", "CC#N", "CCCl",
         "CC=CC", "NCCO", "CSC"]  # fmt: skip


def file_of(path, smiles):
    path.write_text("\n".join(smiles) + "\n")
    return path


@pytest.fixture(scope="module")
def butanol():
    return reference_ensemble(Chem.MolFromSmiles("C[C@H](O)CCF"), "made", QUICK, seed=3)


def test_an_ensemble_holds_distinct_minima_in_the_window_of_the_right_isomer(butanol):
    mol = butanol.mol()
    assert len(butanol.positions) > 3 and butanol.approximate.shape == (3, mol.GetNumAtoms(), 3)
    assert (np.diff(butanol.energies) >= 0).all() and np.ptp(butanol.energies) <= QUICK.window
    apart = pair_rmsd(butanol.positions, butanol.positions, heavy_symmetries(mol))
    # Hydrogens alone may tell two apart, by their energies: that of the hydroxyl group is no heavy atom.
    alike = np.abs(butanol.energies[:, None] - butanol.energies) < SAME_ENERGY
    assert (apart[alike & ~np.eye(len(apart), dtype=bool)] >= QUICK.prune).all()
    # Minima: nothing is left to gain, and the energies are those of MMFF94s.
    again = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=5000, mmffVariant="MMFF94s")
    np.testing.assert_allclose([e * 4.184 for _, e in again], butanol.energies, atol=0.05)
    for places in butanol.positions:
        single = Chem.Mol(mol, confId=0)
        single.GetConformer().SetPositions(places.astype(float))
        Chem.AssignStereochemistryFrom3D(single)
        assert Chem.MolToSmiles(Chem.RemoveHs(single)) == butanol.smiles


def test_weights_are_those_of_boltzmann():
    # kT ln 2 at 298.15 K is 1.7183 kJ/mol.
    np.testing.assert_allclose(boltzmann_weights([5.0, 5.0, 6.7183]), [0.4, 0.4, 0.2], atol=1e-4)


def test_the_same_seed_gives_the_same_ensemble_whatever_the_order_of_atoms(butanol):
    other = Chem.RenumberAtoms(Chem.MolFromSmiles(butanol.smiles), [5, 3, 1, 0, 2, 4])
    again = reference_ensemble(other, "made", QUICK, seed=3)
    assert again.smiles == butanol.smiles
    np.testing.assert_array_equal(again.positions, butanol.positions)


def test_undefined_marks_are_drawn_among_isomers_that_exist():
    drawn = {Chem.MolToSmiles(drawn_isomer(Chem.MolFromSmiles("CC(O)F"), seed)) for seed in range(8)}
    assert len(drawn) == 2 and all("@" in smiles for smiles in drawn)
    cage = drawn_isomer(Chem.MolFromSmiles("OC12CC3CC(CC(C3)C1)C2"), 0)
    assert reference_ensemble(cage, "made", QUICK).positions.shape[0] == 1


def test_molecules_without_parameters_are_refused():
    with pytest.raises(MoleculeError, match="no parameters"):
        reference_ensemble(Chem.MolFromSmiles("C[Se]C"), "made", QUICK)


def test_protocols_out_of_range_are_refused():
    for change in ({"seeds": 0}, {"window": -1}, {"prune": -0.1}, {"most": 0}):
        with pytest.raises(SettingsError, match="given"):
            EnsembleProtocol(**change)


def test_splits_are_by_scaffold_alone_and_near_their_shares():
    mols = [Chem.MolFromSmiles(s) for s in ("CCc1ccc(CN2CCCC2)cc1", "Oc1ccc(C[N@+]2(C)CCCC2)c(F)c1")]
    assert scaffold(mols[0]) == "c1ccc(CN2CCCC2)cc1" and scaffold(mols[1]) == "c1ccc(C[NH+]2CCCC2)cc1"
    assert split_of(mols[0]) == split_of(Chem.MolFromSmiles("c1ccc(CN2CCCC2)cc1C(=O)O"))
    # Chains of every length: a molecule without rings is its own scaffold.
    splits = [split_of(Chem.MolFromSmiles("C" * n + "O" * m)) for n in range(1, 40) for m in range(1, 20)]
    shares = {name: splits.count(name) / len(splits) for name in set(splits)}
    assert shares == pytest.approx({"train": 0.85, "validation": 0.05, "test": 0.10}, abs=0.03)
    assert structure_key(Chem.MolFromSmiles("C[C@H](O)F")) == structure_key(Chem.MolFromSmiles("CC(O)F"))


def test_what_is_left_out_or_held_out_is_trained_on_from_no_file(tmp_path):
    everything = file_of(
        tmp_path / "all.smi", [*SMALL, "CCO again", "OCC", "[Na+].[Cl-]", "C[Si](C)C", "C[CH]C", "junk("]
    )
    left_out = file_of(tmp_path / "left.smi", ["C[C@@H](F)CO", "c1ccccc1O"])
    held_out = file_of(tmp_path / "held.smi", ["CC(=O)OC", "CCCC", "CCCCCCCCO", "CCCCCCO", "CCCCCOC", "OCCCCCCO"])
    chosen = chosen_molecules([everything], [held_out], [left_out])
    keys = [structure_key(Chem.MolFromSmiles(c.smiles)) for c in chosen]
    assert len(set(keys)) == len(keys)
    assert {c.split for c in chosen if c.source == "held"} <= {"test"}
    smiles = {c.smiles for c in chosen if c.source == "all"}
    # Stereoisomers, salts, silicon, radicals and what stands in the held-out file are gone.
    expected = {Chem.CanonSmiles(s) for s in SMALL} - {"C[C@H](F)CO", "Oc1ccccc1", "COC(C)=O", "CCCC"}
    assert smiles == expected
    assert len(chosen_molecules([everything], most=4)) == 4
    assert chosen_molecules([everything], seed=1) != chosen_molecules([everything], seed=2)


# Ends a run without notice before its twelfth molecule: parts hold ten.
KILLED = """
import os, signal, sys
from openmm_cgvae.cli.main import main
from openmm_cgvae.preparation import ensembleparts

sample, calls = ensembleparts.reference_ensemble, []

def counted(*args, **kwargs):
    calls.append(1)
    if len(calls) == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    return sample(*args, **kwargs)

ensembleparts.reference_ensemble = counted
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path):
    file_of(tmp_path / "all.smi", SMALL + ["C" * k + "O" for k in range(4, 20)])
    command = f"sample-conformers {tmp_path / 'all.smi'} --seeds 6 --test-seeds 6 --approximate 2".split()

    def digests(folder):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.npz"))}

    assert main([*command, "-o", str(tmp_path / "whole")]) == 0
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *command, "-o", str(tmp_path / "killed")], capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL
    whole = digests(tmp_path / "whole")
    assert set() < set(digests(tmp_path / "killed")) < set(whole)
    assert main([*command, "-o", str(tmp_path / "killed")]) == 0
    assert digests(tmp_path / "killed") == whole


def test_parts_hold_what_can_be_sampled_and_the_rest_is_logged(tmp_path, caplog):
    path = file_of(tmp_path / "all.smi", ["CCO", "CCN", "CB(O)O", "CN=[N+]=[N-]"])
    molecules = chosen_molecules([path])
    assert {c.smiles for c in molecules} == {"CCO", "CCN", "CN=[N+]=[N-]"}
    sample_ensembles(molecules, tmp_path / "out", QUICK, progress=False)
    packed = pack_parts(tmp_path / "out")
    assert set(packed.smiles) | {r.args[0].args[0].split(":")[0] for r in caplog.records} == {
        c.smiles for c in molecules
    }
    again = PackedEnsembles.packed(list(packed))
    assert again.sha256 == packed.sha256
    with pytest.raises(SettingsError, match="other settings"):
        sample_ensembles(molecules, tmp_path / "out", EnsembleProtocol(seeds=9), progress=False)
    with pytest.raises(SettingsError, match="tset"):
        sample_ensembles(molecules, tmp_path / "out", QUICK, splits=["tset"], progress=False)
    with pytest.raises(DataError, match="no molecule left"):
        sample_ensembles([], tmp_path / "none", QUICK, progress=False)
    with pytest.raises(DataError, match="no part"):
        pack_parts(tmp_path / "none")
