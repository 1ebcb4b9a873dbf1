"""Metrics of many proteins, by numbers worked by hand on crambin and on single atoms."""

import numpy as np
import pytest
from proteinchains import LETTERS, crambin, points, residue, turned

from openmm_cgvae.core.errors import DataError, PositionsError
from openmm_cgvae.metrics.covalent import disulfides, good_angles, good_bonds, wrong_side_chain_centres
from openmm_cgvae.metrics.deviations import diversity, protein_rmsd
from openmm_cgvae.metrics.overlaps import overlap_figures, pierced_rings
from openmm_cgvae.metrics.peptides import (
    backbone_torsions,
    cis_figures,
    cis_peptides,
    d_residues,
    ramachandran_outliers,
)
from openmm_cgvae.metrics.proteins import bead_figures, protein_figures, protein_summary, protein_table
from openmm_cgvae.metrics.rotamers import chi_agreement, rotamer_outliers, side_chain_torsions


def swapped(atoms, number, one, other):
    atoms = atoms.copy()
    atoms[number, [one, other]] = atoms[number, [other, one]]
    return atoms


def test_rmsd_is_not_superposed_and_tells_backbone_from_side_chain():
    types, atoms, mask, _ = crambin()
    moved = atoms.copy()
    moved[5, 1] += [0, 3, 4]  # a C-alpha by 5
    moved[residue("L"), 4] += [0, 0, 2]  # a C-beta by 2
    found = protein_rmsd(types, np.stack([moved, atoms + np.array([0, 0, 1])]), atoms, mask)
    backbone, n = 4 * 46, mask.sum()
    assert found["all"] == pytest.approx([np.sqrt(29 / n), 1])
    assert found["backbone"] == pytest.approx([np.sqrt(25 / backbone), 1])
    assert found["side_chain"] == pytest.approx([np.sqrt(4 / (n - backbone)), 1])


def test_rmsd_takes_equivalent_atoms_by_the_better_label_and_no_others():
    types, atoms, mask, _ = crambin()
    ring = residue("F")
    both = swapped(swapped(atoms, ring, 6, 7), ring, 8, 9)  # CD1, CD2 and CE1, CE2
    assert protein_rmsd(types, both, atoms, mask)["all"] == 0
    assert protein_rmsd(types, swapped(atoms, ring, 6, 7), atoms, mask)["all"] > 0.1
    assert protein_rmsd(types, swapped(atoms, residue("D"), 6, 7), atoms, mask)["all"] == 0
    assert protein_rmsd(types, swapped(atoms, residue("R"), 9, 10), atoms, mask)["all"] == 0
    assert protein_rmsd(types, swapped(atoms, residue("L"), 6, 7), atoms, mask)["all"] > 0.1


def test_diversity_is_that_of_flowback():
    types, atoms, mask, _ = crambin()
    # Two samples 1 to either side of the reference are 2 apart, three alike are not apart.
    assert diversity(types, np.stack([atoms + np.array([1, 0, 0]), atoms - [1, 0, 0]]), atoms, mask) == pytest.approx(
        -1
    )
    assert diversity(types, np.stack([atoms + np.array([1, 0, 0])] * 3), atoms, mask) == pytest.approx(1)
    with pytest.raises(DataError, match="1 sample"):
        diversity(types, atoms[None], atoms, mask)


@pytest.mark.parametrize(("degrees", "within"), [(15, (20, 40)), (30, (40,)), (60, ())])
def test_chi1_agrees_within_the_angle_it_was_turned_by(degrees, within):
    types, atoms, mask, _ = crambin()
    number = residue("L")
    moved = np.zeros_like(mask)
    moved[number, 5:8] = True  # CG, CD1, CD2 about CA-CB
    turn = turned(atoms, atoms[number, [1, 4]], moved, degrees)
    change = side_chain_torsions(types, turn, mask) - side_chain_torsions(types, atoms, mask)
    assert np.degrees(change[number, 0]) % 360 == pytest.approx(degrees)
    for limit in (20, 40):
        agree, known = chi_agreement(types, turn, atoms, mask, limit)
        wrong = np.argwhere(known & ~agree)
        assert wrong.tolist() == ([] if limit in within else [[number, 0], [number, 1]])


def test_chi2_of_half_a_turn_is_the_same_for_rings_and_carboxylates_only():
    types, atoms, mask, _ = crambin()
    for letter, same in (("F", True), ("D", True), ("N", False)):
        number = residue(letter)
        moved = np.zeros_like(mask)
        moved[number, 6:] = mask[number, 6:]
        turn = turned(atoms, atoms[number, [4, 5]], moved, 180)
        agree, known = chi_agreement(types, turn, atoms, mask, 20)
        assert known[number].all()
        assert agree[number].tolist() == [True, same]


def test_side_chain_torsions_are_those_of_the_iupac_names():
    types, atoms, mask, _ = crambin()
    known = np.isfinite(side_chain_torsions(types, atoms, mask)).sum(1)
    wanted = {"A": 0, "G": 0, "S": 1, "T": 1, "C": 1, "V": 1, "P": 2, "F": 2, "Y": 2, "I": 2, "L": 2, "D": 2, "N": 2,
              "E": 3, "R": 4}  # fmt: skip
    assert {LETTERS[kind]: count for kind, count in zip(types, known, strict=True)} == wanted


def test_a_crystal_at_half_an_angstrom_has_nothing_wrong():
    types, atoms, mask, connected = crambin()
    found = protein_figures(types, atoms, atoms, mask, connected)
    for name in ("backbone_bonds", "disulfides", "chi1_20", "chi12_40"):
        assert found[name][0] == found[name][1] > 0, name
    # One bond is between atoms of two alternate conformations.
    assert found["bonds"] == (332, 333)
    for name in ("d_residues", "wrong_side_chain_centres", "wrong_cis", "wrong_cis_proline", "pierced_rings",
                 "clashing_residues", "contacts_2.6", "ramachandran_outliers", "rotamer_outliers", "rmsd_all",
                 "missing_atoms", "bead_shift", "twisted_peptides"):  # fmt: skip
        assert found[name][0] == 0 and found[name][1] > 0, name
    assert found["angles"][0] >= 0.98 * found["angles"][1]
    assert found["disulfides"] == (3, 3)


def test_a_mirrored_protein_is_all_d():
    types, atoms, mask, _ = crambin()
    mirrored = atoms * [1, 1, -1]
    d, known = d_residues(types, mirrored, mask)
    assert (d == known).all() and known.sum() == (types != LETTERS.index("G")).sum()
    wrong, centres = wrong_side_chain_centres(types, mirrored, mask)
    assert (wrong == centres).all() and centres.sum() == np.isin(types, [LETTERS.index(x) for x in "IT"]).sum()


@pytest.mark.parametrize(("letter", "suffix"), [("P", "_proline"), ("L", "")])
def test_a_peptide_bond_turned_by_half_is_a_wrong_cis_and_back_a_missed_one(letter, suffix):
    types, atoms, mask, connected = crambin()
    number = residue(letter)
    moved = mask & (np.arange(46) >= number)[:, None]
    cis = turned(atoms, (atoms[number - 1, 2], atoms[number, 0]), moved, 180)
    omega = np.degrees(backbone_torsions(cis, mask, connected)[:, 2])
    assert np.flatnonzero(np.abs(omega) < 90).tolist() == [number]
    forward, backward = cis_figures(types, cis, atoms, mask, connected), cis_figures(types, atoms, cis, mask, connected)
    assert forward[f"wrong_cis{suffix}"][0] == 1 and forward[f"missed_cis{suffix}"] == (0, 0)
    assert backward[f"missed_cis{suffix}"] == (1, 1) and backward[f"wrong_cis{suffix}"][0] == 0
    proline = (types == LETTERS.index("P")).sum()
    found = cis_peptides(types, cis, mask, connected)
    assert found == {"cis": (int(not suffix), 45 - proline), "cis_proline": (int(bool(suffix)), proline)}
    assert forward["wrong_cis"][1] == 45 - proline and forward["wrong_cis_proline"][1] == proline


def test_one_oxygen_pulled_off_is_one_bond_and_no_angle():
    types, atoms, mask, connected = crambin()
    number = residue("A")
    pulled = atoms.copy()
    pulled[number, 3] += 0.12 * (atoms[number, 3] - atoms[number, 2])  # C-O by 12 %
    good, known = good_bonds(types, pulled, mask, connected)
    assert np.argwhere(good_bonds(types, atoms, mask, connected)[0] & known & ~good).tolist() == [[number, 3]]
    before, after = (good_angles(types, x, mask, connected) for x in (atoms, pulled))
    assert (before[0] == after[0])[before[1]].all()
    # A tree has a bond less than atoms, and each ring adds one.
    rings = sum((types == LETTERS.index(x)).sum() for x in "FYP")
    assert known.sum() == mask.sum() - 1 + rings


def test_an_angle_bent_by_ten_degrees_is_found():
    types, atoms, mask, connected = crambin()
    number = residue("S")
    moved = np.zeros_like(mask)
    moved[number, 5] = True  # OG about an axis across N-CA-CB through CB
    ca, cb, og = atoms[number, [1, 4, 5]]
    across = np.cross(ca - cb, og - cb)
    bent = turned(atoms, (cb, cb + across), moved, 10)
    before, after = (good_angles(types, x, mask, connected) for x in (atoms, bent))
    assert (before[0] & ~after[0])[before[1]].sum() == 1


def test_a_chain_break_has_no_peptide_bond_and_no_torsion():
    types, atoms, mask, connected = crambin()
    whole = good_bonds(types, atoms, mask, connected)[1].sum()
    connected[20] = False
    assert good_bonds(types, atoms, mask, connected)[1].sum() == whole - 1
    angles = backbone_torsions(atoms, mask, connected)
    assert np.isnan(angles[20, [0, 2]]).all() and np.isnan(angles[19, 1]) and np.isfinite(angles[19, 0])


def test_contacts_are_counted_below_their_distance():
    types, atoms, mask, connected = points((0, 0, 0), (2.5, 0, 0), (2.5, 1.9, 0), (2.5, 1.9, 1.1), (50, 0, 0))
    found = overlap_figures(types, atoms, mask, connected)
    # 2.5 and 1.9 and 1.1 and, across, sqrt(1.9^2 + 1.1^2) = 2.2; every other pair is further apart.
    assert found["contacts_2.6"] == (4, 5)
    assert found["contacts_2.0"] == (2, 5)
    assert found["clashing_residues"] == (2, 5)


def test_bonded_neighbours_and_disulfides_are_no_contacts_and_others_as_near_are():
    types, atoms, mask, connected = crambin()
    bonded = disulfides(types, atoms, mask)
    assert len(bonded) == 3
    assert overlap_figures(types, atoms, mask, connected, bonded)["contacts_2.6"][0] == 0
    assert overlap_figures(types, atoms, mask, connected)["contacts_2.6"][0] == 3
    # C-N and the pairs around a peptide bond that no longer counts as one: at least C-N, C-CA, CA-N, O-N.
    connected[10] = False
    assert overlap_figures(types, atoms, mask, connected, bonded)["contacts_2.6"][0] >= 4


def test_a_bond_through_a_ring_is_found_and_one_beside_it_is_not():
    types, atoms, mask, connected = crambin()
    ring, number = residue("Y"), residue("A")
    centre = atoms[ring, 5:11].mean(0)
    normal = np.cross(atoms[ring, 5] - centre, atoms[ring, 6] - centre)
    normal /= np.linalg.norm(normal)
    side = (atoms[ring, 5] - centre) / np.linalg.norm(atoms[ring, 5] - centre)
    for shift, through in ((0.0, True), (1.0, True), (1.8, False)):
        pierced = atoms.copy()
        # CA-CB of an alanine stands across the ring, `shift` from its centre; the ring has a radius of 1.4.
        pierced[number, 1] = centre + 0.75 * normal + shift * side
        pierced[number, 4] = centre - 0.75 * normal + shift * side
        found = pierced_rings(types, pierced, mask, connected).tolist()
        assert ([ring, number] in found) is through, shift


def test_torsions_that_crystals_hardly_show_are_outliers():
    types, atoms, mask, connected = crambin()
    number = residue("V")
    moved = np.zeros_like(mask)
    moved[number, 5:7] = True
    chi1 = np.degrees(side_chain_torsions(types, atoms, mask)[number, 0])
    eclipsed = turned(atoms, atoms[number, [1, 4]], moved, 120.0 - chi1)  # chi1 = 120 degrees
    assert np.flatnonzero(rotamer_outliers(types, eclipsed, mask)[0]).tolist() == [number]
    # phi = 90 at the psi of a strand is empty for all but glycine: turn what comes before N about N-CA.
    number = residue("L")
    phi = np.degrees(backbone_torsions(atoms, mask, connected)[number, 0])
    before = mask & (np.arange(46) < number)[:, None]
    turn = turned(atoms, atoms[number, [0, 1]], before, phi - 90)
    assert np.degrees(backbone_torsions(turn, mask, connected)[number, 0]) == pytest.approx(90)
    assert ramachandran_outliers(types, turn, mask, connected)[0][number]


def test_atoms_that_a_peer_left_out_are_counted_and_not_compared():
    types, atoms, mask, connected = crambin()
    built = mask.copy()
    built[3, 4:] = False
    other = np.where(built[..., None], atoms, 0.0)
    found = protein_figures(types, other, atoms, mask, connected, built)
    assert found["missing_atoms"] == (mask[3, 4:].sum(), mask.sum())
    assert found["rmsd_all"] == (0, 1)
    assert found["bonds"] == (332 - 2, 333 - 2)  # CB and SG


def test_figures_without_truth_tell_how_far_beads_were_moved():
    types, atoms, mask, connected = crambin()
    found = bead_figures(types, atoms, mask, connected, atoms[:, 1] + [0, 0.3, 0.4])
    assert found["bead_shift"] == (pytest.approx(46 * 0.5), 46)
    assert found["backbone_bonds"] == (46 * 3 + 45, 46 * 3 + 45)
    assert "rmsd_all" not in found


def test_arrays_that_do_not_fit_are_refused():
    types, atoms, mask, connected = crambin()
    with pytest.raises(PositionsError, match=r"\(46, 14, 3\)"):
        protein_figures(types, atoms[:, :13], atoms, mask, connected)
    atoms[3, 1, 0] = np.nan
    with pytest.raises(PositionsError, match="finite"):
        protein_figures(types, atoms, atoms, mask, connected)


def test_summaries_add_sums_and_counts_and_show_long_chains_apart():
    one, other = (
        {"rmsd_all": (1.0, 1), "bonds": (90, 100)},
        {"rmsd_all": (2.0, 1), "bonds": (300, 300), "d_residues": (2, 9)},
    )
    summary = protein_summary([one, other], [30, 301])
    assert (summary["chains"], summary["residues"]) == (2, 331)
    assert summary["figures"]["rmsd_all"] == {"value": 1.5, "sum": 3.0, "count": 2}
    assert summary["figures"]["bonds"]["value"] == 0.975
    assert summary["long"]["figures"]["bonds"] == {"value": 1.0, "sum": 300, "count": 300}
    rows = {"ours": summary, "short": protein_summary([one], [30])}
    lines = protein_table(rows).splitlines()
    assert lines[0] == "|  | ours | short |"
    assert "| bonds < 10 %, % | 97.5 | 90 |" in lines
    assert "| D | 2 of 9 | - |" in lines
    assert (
        protein_table({"ours": summary, "short": protein_summary([one], [30])}, long=True).splitlines()[0]
        == "|  | ours |"
    )
    with pytest.raises(DataError, match="no chain"):
        protein_summary([], [])
