"""Peptides are built from their sequence, whole and of the right hand."""

import numpy as np
import pytest
from openmm import app

from openmm_cgvae.core.errors import OutputError, SettingsError
from openmm_cgvae.preparation.peptide import build_peptide


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("peptide") / "peptide.pdb"
    build_peptide("GEW", path, seed=1)
    return path


def test_a_sequence_becomes_a_capped_peptide_that_a_force_field_takes(built):
    pdb = app.PDBFile(str(built))
    assert [residue.name for residue in pdb.topology.residues()] == ["ACE", "GLY", "GLU", "TRP", "NME"]
    forcefield = app.ForceField("amber14-all.xml", "implicit/gbn2.xml")
    assert forcefield.createSystem(pdb.topology).getNumParticles() == pdb.topology.getNumAtoms()


def test_its_residues_are_l(built):
    pdb = app.PDBFile(str(built))
    positions = pdb.getPositions(asNumpy=True)._value
    for residue in pdb.topology.residues():
        atoms = {atom.name: positions[atom.index] for atom in residue.atoms()}
        if "CB" in atoms:
            n, c, cb = (atoms[name] - atoms["CA"] for name in ("N", "C", "CB"))
            assert np.dot(np.cross(n, c), cb) > 0


def test_names_give_states_and_termini_are_as_asked(tmp_path):
    topology = build_peptide("ALA-HIP-ALA", tmp_path / "b.cif", termini="charged", seed=1)
    names = {atom.name for residue in topology.residues() for atom in residue.atoms() if residue.name != "ALA"}
    assert {"HD1", "HE2"} <= names
    assert {"H3", "OXT"} <= {atom.name for atom in topology.atoms()}
    assert app.PDBxFile(str(tmp_path / "b.cif")).topology.getNumAtoms() == topology.getNumAtoms()


@pytest.mark.parametrize(("sequence", "said"), [("GEX", "residue 3, X"), ("GLY-FOO-ALA", "residue 2, FOO")])
def test_what_is_no_amino_acid_is_named(tmp_path, sequence, said):
    with pytest.raises(SettingsError, match=said):
        build_peptide(sequence, tmp_path / "peptide.pdb")


@pytest.mark.parametrize("sequence", ["", "GE"])
def test_too_short_a_peptide_is_refused(tmp_path, sequence):
    with pytest.raises(SettingsError, match="three"):
        build_peptide(sequence, tmp_path / "peptide.pdb")


def test_only_structures_are_written(tmp_path):
    with pytest.raises(OutputError, match="pdb"):
        build_peptide("GEW", tmp_path / "peptide.dcd")
