"""Martini beads: versions, extra beads, and weights against structures that martinize2 mapped."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from proteinbeads import CRYSTAL, REAL, beads, heavy_positions, helix, needs_real, rows_of

from openmm_cgvae.binding.beadfiles import read_pdb
from openmm_cgvae.binding.martini import martini_beads, same_in_both_versions
from openmm_cgvae.binding.martinidata import measure
from openmm_cgvae.binding.protein import bind_protein
from openmm_cgvae.chemistry.aminoacids.names import kind_of, variant_of
from openmm_cgvae.chemistry.aminoacids.residues import RESIDUE_NAMES, VARIANT_TYPES
from openmm_cgvae.core.errors import MappingError, TopologyMismatchError

INSULIN = CRYSTAL.with_name("3i40_martini3.pdb")
TYPE = {name: VARIANT_TYPES[variant_of(name) if name != "HIS" else "HIE"] for name in RESIDUE_NAMES}


def made(version, residues, positions=None, extra=()):
    """Beads of a version along a helix; `extra` names are added to every residue."""
    names, owner = [], []
    for k, residue in enumerate(residues):
        for name in [*martini_beads(version, TYPE[residue]), *extra]:
            names.append(name)
            owner.append(k)
    owner = np.array(owner)
    record = beads([residues[k] for k in owner], positions=None, names=names, numbers=owner + 1)
    where = helix(len(residues)) if positions is None else positions
    return replace(record, residues=owner, positions=where[owner])


def test_insulin_is_bound_with_its_bonds_and_chains():
    protein = bind_protein(INSULIN)
    assert protein.mapping == "martini3"
    assert protein.n_residues == 51
    assert np.flatnonzero(~protein.connected).tolist() == [0, 21]
    # CONECT between side chains: A6-A11, A7-B7, A20-B19.
    assert protein.disulfides.tolist() == [[5, 10], [6, 27], [19, 39]]
    by_distance = bind_protein(replace(read_pdb(INSULIN), bonds=np.zeros((0, 2), dtype=int)))
    assert by_distance.disulfides.tolist() == protein.disulfides.tolist()


def test_weights_are_what_martinize2_does():
    """Beads are centres of mass to the rounding of the files; at the end of a chain OXT is in the backbone bead."""
    record, protein = read_pdb(INSULIN), bind_protein(INSULIN)
    atoms = read_pdb(INSULIN.with_name("3i40_aa.pdb"))
    found = protein.project(heavy_positions(protein, atoms))
    off = np.linalg.norm(found - record.positions[protein.bead_rows], axis=1)
    last = np.isin(protein.bead_residues, [20, 50]) & (np.array(protein.bead_roles) == "BB")
    assert off[~last].max() < 2e-4
    assert 0.02 < off[last].min() < off[last].max() < 0.07


def test_weights_of_a_bead_sum_to_one():
    for version in ("martini3", "martini2", "elnedyn"):
        protein = bind_protein(made(version, list(RESIDUE_NAMES)), mapping=version)
        assert protein.mapping == version
        np.testing.assert_allclose(protein.project(np.ones((protein.n_atoms, 3))), 1.0)
        assert list(protein.bead_roles[:2]) == ["BB"] + (["SC1"] if version == "martini3" else ["BB"])


def test_version_is_told_by_names():
    assert bind_protein(made("martini3", ["TRP", "LEU"])).mapping == "martini3"
    assert bind_protein(made("martini2", ["TRP", "LEU"])).mapping == "martini2"
    # Alike in both: the newer, unless said.
    same = made("martini2", ["LEU", "LYS", "GLY"], 0.85 * helix(3))
    assert bind_protein(same).mapping == "martini3"
    assert bind_protein(same, mapping="martini2").mapping == "martini2"
    with pytest.raises(MappingError, match=r'"martini2" given.*martini3'):
        bind_protein(made("martini3", ["TRP", "LEU"]), mapping="martini2")


def test_backbone_at_alpha_carbons_is_elnedyn():
    backbone = helix(6) * 0.85
    assert bind_protein(made("martini2", ["TRP", "LEU"] * 3, backbone)).mapping == "martini2"
    assert bind_protein(made("martini2", ["TRP", "LEU"] * 3, helix(6))).mapping == "elnedyn"


def test_residues_with_the_same_beads_in_both_versions():
    different = {name for name in RESIDUE_NAMES if not same_in_both_versions(TYPE[name])}
    assert different == {"ALA", "PHE", "TRP", "TYR"}


@pytest.mark.parametrize("extra", ["SCD1", "SCP", "SCN", "CA"])
def test_beads_that_stand_for_no_atoms_are_ignored_with_a_note(extra, caplog):
    with caplog.at_level(logging.INFO):
        protein = bind_protein(made("martini3", ["LEU", "SER", "TRP"], extra=[extra]))
    assert protein.n_beads == 2 + 2 + 6
    (reason, rows), *others = protein.ignored.items()
    assert len(rows) == 3
    assert not others
    assert f"3 beads ignored: {reason}" in caplog.text


def test_go_sites_at_the_end_of_the_file_are_ignored():
    record = made("martini3", ["LEU", "SER", "TRP"], extra=["CA"])
    order = np.argsort(np.array(record.names) == "CA", kind="stable")
    protein = bind_protein(rows_of(record, order))
    assert protein.n_residues == 3
    assert len(protein.ignored["beads that stand for no atoms (charges, virtual sites)"]) == 3


def test_backbones_before_side_chains_are_joined():
    record = made("martini3", ["LEU", "SER", "TRP"])
    order = np.argsort(np.array(record.names) != "BB", kind="stable")
    protein = bind_protein(rows_of(record, order))
    assert [order[row] for row in protein.bead_rows] == list(range(record.n_beads))


def test_missing_side_chain_beads_are_noted(caplog):
    record = made("martini3", ["LEU", "TRP", "TRP", "TYR"])
    protein = bind_protein(rows_of(record, [i for i in range(record.n_beads) if i != 5]))
    assert "1 residues lack side-chain beads, the first is chain A TRP 2:" in caplog.text
    assert protein.n_beads == record.n_beads - 1
    assert protein.mapping == "martini3"


def test_beads_of_no_version_are_refused():
    record = made("martini3", ["LEU", "SER", "TRP"])
    record.names[3] = "SC4"
    with pytest.raises(TopologyMismatchError, match="chain A SER 2 has beads BB, SC4; martini3"):
        bind_protein(record)
    record.names[3] = "D1"
    with pytest.raises(MappingError, match="D1 beside BB"):
        bind_protein(record)


def test_measured_shares_are_thirds_and_halves():
    atoms = np.random.default_rng(0).normal(size=(30, 3, 3))
    masses = np.array([12.011, 14.007, 15.999]) * [1.0, 0.5, 1 / 3]
    shares, left = measure(np.einsum("a,sak->sk", masses / masses.sum(), atoms), atoms, ("CA", "N", "O"))
    assert shares == {"CA": 1.0, "N": 0.5, "O": pytest.approx(1 / 3, abs=1e-6)}
    assert left < 1e-9


def files():
    return sorted(REAL.glob("*_cg.pdb")) if REAL else []


@needs_real
@pytest.mark.parametrize("path", files(), ids=lambda p: p.stem)
def test_real_martini_files(path):
    command = path.with_name(path.name.replace("_cg.pdb", "_command.txt"))
    text = command.read_text() if command.exists() else "martini22"
    version = "elnedyn" if "elnedyn" in text else "martini3" if "martini3001" in text else "martini2"
    protein = bind_protein(path)
    record = read_pdb(path)
    assert protein.mapping == version
    amino = [i for i in range(record.n_beads) if kind_of(record.residue_names[i]) == "amino acid"]
    charges = [i for i in amino if record.names[i].startswith("SCD")]
    assert len(protein.bead_rows) == len(amino) - len(charges)
    assert sum(map(len, protein.ignored.values())) == len(charges)
    assert np.isfinite(protein.placements.local).all()


@needs_real
@pytest.mark.parametrize(
    ("name", "breaks"),
    [("PED00003", 0), ("PED00074", 0), ("PED00154", 0), ("PED00159", 0), ("PED00442", 0), ("PED00183", 33)],
)
def test_real_calvados_files(name, breaks):
    protein = bind_protein(REAL / f"calvados_{name}.pdb")
    assert protein.mapping == "ca"
    assert (~protein.connected).sum() == 1 + breaks
    assert next(protein.topology.residues()).id == "0"
