"""Beads that are not what they should be: a clear error, or the right molecule."""

import logging

import numpy as np
import pytest
from proteinbeads import CRYSTAL, beads, helix, pdb_lines, rows_of

from openmm_cgvae.binding.protein import bind_protein
from openmm_cgvae.core.errors import DataError, MappingError, PositionsError, TopologyMismatchError


def written(tmp_path, record):
    path = tmp_path / "beads.pdb"
    path.write_text(pdb_lines(record))
    return path


def test_all_atom_structure_is_refused_with_the_command_that_makes_beads():
    with pytest.raises(TopologyMismatchError, match=r"all-atom structure.*openmm-cgvae project"):
        bind_protein(CRYSTAL)


@pytest.mark.parametrize(("factor", "unit"), [(10.0, "Angstrom"), (0.1, "a tenth of nm")])
def test_positions_in_another_unit_are_told(factor, unit):
    with pytest.raises(PositionsError, match=f"look like {unit}"):
        bind_protein(beads(["ALA"] * 9), positions=factor * helix(9))


def test_positions_of_no_chain_are_refused():
    with pytest.raises(PositionsError, match=r"0\.38 nm is expected"):
        bind_protein(beads(["ALA"] * 9), positions=helix(9) * 3)


@pytest.mark.parametrize("positions", [np.zeros((8, 3)), np.full((9, 3), np.nan)])
def test_positions_of_other_beads_are_refused(positions):
    with pytest.raises(PositionsError, match=r"\(9, 3\)"):
        bind_protein(beads(["ALA"] * 9), positions=positions)


def martini(residues):
    """Beads BB and SC1 of residues that have both, one after the other."""
    n = 2 * len(residues)
    record = beads(np.repeat(residues, 2), names=["BB", "SC1"] * len(residues), positions=None)
    values = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return type(record)(**{**values, "numbers": np.arange(n) // 2 + 1, "residues": np.arange(n) // 2})


def test_martini_beads_are_refused_for_alpha_carbons_and_the_other_way_round():
    with pytest.raises(MappingError, match=r'"ca" given.*protein-martini'):
        bind_protein(martini(["LEU", "VAL"]), mapping="ca")
    with pytest.raises(MappingError, match=r'"martini" given.*protein-ca'):
        bind_protein(beads(["LEU", "VAL"]), mapping="martini")
    assert bind_protein(martini(["LEU", "VAL"])).mapping == "martini3"


def test_unknown_mapping_is_refused_with_the_three_named():
    record = martini(["LEU", "VAL"])
    record.names[:] = ["B1", "S1"] * 2
    with pytest.raises(MappingError, match=r"protein-ca.*protein-martini.*protein-com"):
        bind_protein(record)
    with pytest.raises(MappingError, match=r"protein-ca.*protein-martini.*protein-com"):
        bind_protein(beads(["ALA"]), mapping="sirah")


def test_martini_backbone_alone_is_refused():
    with pytest.raises(MappingError, match="no side chains"):
        bind_protein(beads(["LEU", "VAL"], names="BB"))


def test_residues_out_of_order_are_refused():
    order = [0, 1, 5, 3, 4, 2, 6, 7]
    record = rows_of(beads(["ALA"] * 8), order)
    for positions in (record.positions, None):
        with pytest.raises(TopologyMismatchError, match="out of order: chain A ALA 4 comes behind chain A ALA 6"):
            bind_protein(type(record)(**{**record.__dict__, "positions": positions}))


def test_numbers_that_start_again_are_another_chain(tmp_path):
    positions = np.concatenate([helix(5), helix(5) + 3.0])
    record = beads(["ALA"] * 10, positions=positions, numbers=[1, 2, 3, 4, 5] * 2, chains=[""] * 10)
    for source in (record, written(tmp_path, record)):
        assert np.flatnonzero(~bind_protein(source).connected).tolist() == [0, 5]


@pytest.mark.parametrize("n", [1, 2])
def test_chains_of_one_and_two_residues_are_molecules(n):
    from openmm import app

    protein = bind_protein(beads(["TRP"] * n))
    assert protein.n_residues == n
    # amber14 has no amino acid with both ends charged: one alone gets caps.
    assert protein.topology.getNumResidues() == (3 if n == 1 else 2)
    app.ForceField("amber14-all.xml").createSystem(protein.topology)
    assert bind_protein(beads(["TRP"] * n), caps="merged").topology.getNumResidues() == n


def test_missing_alpha_carbon_is_told_or_a_break():
    record = beads(["ALA"] * 6)
    without = rows_of(record, [0, 1, 2, 4, 5])
    assert np.flatnonzero(~bind_protein(without).connected).tolist() == [0, 3]
    record.names[3] = "CB"
    with pytest.raises(TopologyMismatchError, match=r"ALA 4.* has no C-alpha but CB"):
        bind_protein(record)


def test_missing_backbone_bead_is_told():
    record = rows_of(beads_of_martini(), [0, 1, 3, 4, 5])
    with pytest.raises(TopologyMismatchError, match=r"VAL 2.* has no BB bead but SC1"):
        bind_protein(record)


def beads_of_martini():
    record = martini(["LEU", "VAL", "SER"])
    return type(record)(**{**record.__dict__, "positions": np.zeros((6, 3))})


def test_duplicated_beads_are_told(tmp_path):
    record = beads(["ALA"] * 5, numbers=[1, 2, 2, 3, 4])
    with pytest.raises(TopologyMismatchError, match="ALA 2 has bead CA twice"):
        bind_protein(written(tmp_path, record))


def test_first_of_alternate_locations_is_taken(tmp_path):
    lines = pdb_lines(beads(["ALA"] * 5)).splitlines()
    second = lines[1]
    lines[1] = second[:16] + "A" + second[17:]
    lines.insert(2, second[:16] + "B" + second[17:])
    path = tmp_path / "beads.pdb"
    path.write_text("\n".join(lines))
    assert bind_protein(path).n_residues == 5


def test_insertion_codes_follow_each_other(tmp_path):
    record = beads(["ALA"] * 6, numbers=[51, 52, 52, 52, 53, 54], insertions=["", "", "A", "B", "", ""])
    protein = bind_protein(written(tmp_path, record))
    assert protein.connected.tolist() == [False] + [True] * 5
    assert [r.insertionCode for r in protein.topology.residues()] == ["", "", "A", "B", "", ""]


@pytest.mark.parametrize("numbering", ["hybrid", "modulo"])
def test_more_than_9999_residues_are_one_chain(tmp_path, numbering):
    n = 12000
    record = beads(["ALA"] * n)
    # Columns of a PDB file end at 999 nm: a flatter and wider helix.
    record = type(record)(**{**record.__dict__, "positions": record.positions * [1.06, 1.06, 0.47]})
    lines = pdb_lines(record).splitlines()
    if numbering == "hybrid":
        for k in range(9999, n):
            lines[k] = lines[k][:22] + "A" + np.base_repr(k - 9999, 36).rjust(3, "0") + lines[k][26:]
    path = tmp_path / "beads.pdb"
    path.write_text("\n".join(lines))
    protein = bind_protein(path)
    assert protein.n_residues == n
    assert (~protein.connected).sum() == 1


def test_d_amino_acids_are_named_as_such():
    with pytest.raises(TopologyMismatchError, match=r"DAL 2.*D-amino acid.*mirror image of ALA"):
        bind_protein(beads(["ALA", "DAL", "ALA"]))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("DPPC", "lipid"), ("CHOL", "lipid"), ("DA", "nucleic acid"), ("HEM", "ligand or modified residue"),
     ("SEP", "ligand or modified residue")],
)  # fmt: skip
def test_residues_that_are_no_protein_are_named(name, kind):
    record = beads(["ALA", "GLY", name], chains="AAB")
    with pytest.raises(TopologyMismatchError, match=f"chain B {name} 3.* is a {kind}.*unknown="):
        bind_protein(record)
    assert bind_protein(record, unknown="drop").n_residues == 2


def test_water_and_ions_are_left_out_with_a_note(caplog):
    record = beads(["ALA", "GLY", "W", "ION", "NA"], names=["CA", "CA", "W", "NA+", "NA"])
    with caplog.at_level(logging.INFO):
        protein = bind_protein(record, positions=None)
    assert protein.ignored == {"water and ions": [2, 3, 4]}
    assert "3 beads ignored: water and ions" in caplog.text
    assert protein.bead_rows.tolist() == [0, 1]


def test_beads_without_any_protein_are_refused():
    with pytest.raises(TopologyMismatchError, match="no amino acid among its 3 beads"):
        bind_protein(beads(["W"] * 3, names="W"))


def test_a_bead_that_is_missing_is_warned_of(caplog):
    present = [0, 1, 2, 4, 5, 6]
    record = beads(["ALA"] * 6, positions=helix(7)[present], numbers=[1 + k for k in present])
    assert np.flatnonzero(~bind_protein(record).connected).tolist() == [0, 3]
    assert [entry.levelname for entry in caplog.records if "no bond from" in entry.message] == ["WARNING"]
    assert "no bond from chain A ALA 3 to chain A ALA 5: each part has ends of its own" in caplog.text
    caplog.clear()
    bind_protein(record, breaks=["A:5"])
    assert "no bond" not in caplog.text


def test_breaks_are_decided_in_order_and_logged(caplog):
    """Chain ids, chain ends, numbers, distances; bonded neighbours whose numbers jump are bonded."""
    positions = helix(12)
    positions[9:] += 1.0
    record = beads(
        ["ALA"] * 12,
        positions=positions,
        chains="A" * 3 + "B" * 9,
        molecules=[0] * 3 + [1] * 3 + [2] * 6,
        numbers=[1, 2, 3, 4, 5, 6, 7, 8, 20, 21, 22, 23],
    )
    with caplog.at_level(logging.INFO):
        protein = bind_protein(record)
    assert np.flatnonzero(~protein.connected).tolist() == [0, 3, 6, 9]
    assert "12 residues in 4 parts: 2 chain ends, 1 residue numbers that do not follow" in caplog.text
    assert "1 breaks by distance" in caplog.text
    assert np.flatnonzero(~bind_protein(record, breaks="none").connected).tolist() == [0, 3, 6]
    assert np.flatnonzero(~bind_protein(record, breaks=["B:5"]).connected).tolist() == [0, 3, 4, 6]
    # Without positions numbers decide.
    record = type(record)(**{**record.__dict__, "positions": None})
    assert np.flatnonzero(~bind_protein(record).connected).tolist() == [0, 3, 6, 8]


@pytest.mark.parametrize("content", ["", "nonsense", "ATOM      1  CA  ALA A   x      0.0     0.0     0.0"])
def test_files_that_hold_no_beads_are_refused(tmp_path, content):
    path = tmp_path / "beads.pdb"
    path.write_text(content)
    with pytest.raises((DataError, TopologyMismatchError), match=r"beads\.pdb"):
        bind_protein(path)


def test_missing_and_foreign_sources_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        bind_protein(tmp_path / "none.pdb")
    (tmp_path / "beads.xyz").write_text("1\n")
    with pytest.raises(DataError, match=r"\.pdb, .*\.gro"):
        bind_protein(tmp_path / "beads.xyz")
    with pytest.raises(TopologyMismatchError, match="a dict given as beads"):
        bind_protein({})
