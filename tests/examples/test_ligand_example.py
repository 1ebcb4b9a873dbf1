"""The example of a small molecule runs, alone and beside a protein, from a SMILES to atoms."""

import json

import mdtraj
import numpy as np
import pytest
from conftest import run_example
from rdkit import Chem

from openmm_cgvae.io.bundled import pretrained_names
from openmm_cgvae.molecule.mapping import CGMapping

# (S)-ibuprofen, and the number of its heavy atoms and hydrogens.
SMILES, ATOMS = "CC(C)Cc1ccc([C@H](C)C(=O)O)cc1", 33


@pytest.mark.slow
@pytest.mark.skipif(not {"ligands", "protein-ca"} <= set(pretrained_names()), reason="a model is not bundled yet")
def test_a_quick_run_of_rigid_fragments_becomes_atoms_alone_and_beside_a_protein(tmp_path):
    work = tmp_path / "work"
    run_example("ligand", work, "--quick")
    summary = json.loads((work / "summary.json").read_text())
    assert summary["ligand_same_stereo"] == summary["complex_same_stereo"] == 1.0
    records = list(Chem.SDMolSupplier(str(work / "ligand-aa.sdf"), removeHs=False))
    beads, atoms = frames(work / "ligand-cg"), frames(work / "ligand-aa")
    assert len(records) == len(beads) == len(atoms) == summary["frames"] == 4
    mapping = CGMapping.rigid_fragments(records[0])
    for record, bead_places, atom_places in zip(records, beads.xyz, atoms.xyz, strict=True):
        Chem.AssignStereochemistryFrom3D(record)
        assert Chem.MolToSmiles(Chem.RemoveHs(record)) == SMILES
        # An SDF file has four decimals of an Angstrom.
        assert np.abs(record.GetConformer().GetPositions() / 10 - atom_places).max() < 1e-5
        assert np.abs(mapping.project(atom_places) - bead_places).max() < 1e-5
    check_complex(work, mapping, summary)


def check_complex(work, mapping, summary):
    """The ligand is first; it stays at the protein, on its beads."""
    beads, atoms = frames(work / "complex-cg"), frames(work / "complex-aa")
    assert len(beads) == len(atoms) == 4
    assert np.abs(mapping.project(atoms.xyz[:, :ATOMS]) - beads.xyz[:, : mapping.n_beads]).max() < 1e-5
    alphas = [atom.index for atom in atoms.topology.atoms if atom.name == "CA" and atom.residue.name != "LIG"]
    moved = np.linalg.norm(atoms.xyz[:, alphas] - beads.xyz[:, mapping.n_beads :], axis=-1)
    assert moved.max() <= summary["complex_alphas_moved_at_most_nm"] + 1e-5 < 0.1
    assert 0.5 < summary["ligand_from_nearest_alpha_nm"][0] <= summary["ligand_from_nearest_alpha_nm"][2] < 1.0


def frames(path):
    return mdtraj.load(f"{path}.dcd", top=f"{path}.pdb")
