"""The example of a protein of the user's choice runs, from a PDB file to atomistic MD."""

import json

import mdtraj
import numpy as np
import pytest
from conftest import DATA, run_example

from openmm_cgvae.io.bundled import pretrained_names

RESIDUES = 14


@pytest.mark.slow
@pytest.mark.skipif("protein-ca" not in pretrained_names(), reason="protein-ca is not bundled yet")
def test_a_quick_run_of_alpha_carbons_ends_in_atomistic_md(tmp_path):
    crystal = mdtraj.load(DATA / "5k6d.pdb")
    some = [atom.index for atom in crystal.topology.atoms if atom.residue.index < RESIDUES]
    crystal.atom_slice(some).save_pdb(tmp_path / "protein.pdb")
    work = tmp_path / "work"
    run_example("protein", tmp_path / "protein.pdb", work, "--quick")
    summary = json.loads((work / "summary.json").read_text())
    assert summary["residues"] == RESIDUES
    beads, atoms = (
        mdtraj.load(work / f"{name}.dcd", top=work / f"{top}.pdb") for name, top in (("cg", "ca"), ("aa", "aa"))
    )
    assert beads.n_frames == atoms.n_frames == summary["frames"] == 4
    moved = np.linalg.norm(atoms.xyz[:, atoms.topology.select("name CA")] - beads.xyz, axis=-1)
    assert moved.max() <= summary["beads_moved_at_most_nm"] + 1e-5
    md = mdtraj.load(work / "md.dcd", top=work / "md.pdb")
    assert md.n_atoms == atoms.n_atoms == summary["atoms"]
    assert np.isfinite(md.xyz).all()
    assert np.isfinite(summary["md_energy_kj_mol"]).all()
    assert summary["md_rmsd_of_c_alphas_nm"] < 0.2
