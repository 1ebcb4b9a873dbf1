"""Chains of structure files: alternates, selenomethionine, gaps, incomplete residues."""

import numpy as np
import pytest
from proteinchains import FOLDER, all_types

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, HEAVY_ATOMS
from openmm_cgvae.preparation.crystalchains import chains_of_file

LINES = [line for line in (FOLDER / "5k6d.pdb").read_text().splitlines() if line.startswith("ATOM")]


def read(lines, tmp_path, **options):
    path = tmp_path / "1abc.pdb"
    path.write_text("\n".join(lines))
    return chains_of_file(path, **options)[0]


def lines_of(residue, name=None):
    """Places of the lines of the n-th residue, counted from 0, or of one atom of it."""
    numbers = list(dict.fromkeys(line[22:27] for line in LINES))
    return [
        k for k, line in enumerate(LINES) if line[22:27] == numbers[residue] and name in (None, line[12:16].strip())
    ]


def test_chain_is_the_one_that_openmm_reads(tmp_path):
    (chain,) = read(LINES, tmp_path)
    types, atoms, mask, connected = all_types()
    assert chain.name == "1abc_B"
    np.testing.assert_array_equal(chain.residue_types, types)
    np.testing.assert_array_equal(chain.mask, mask)
    np.testing.assert_array_equal(chain.connected, connected)
    np.testing.assert_allclose(chain.atoms, atoms, atol=1e-4)


def test_highest_occupancy_alternate_is_taken_whole(tmp_path):
    lines = list(LINES)
    for k in reversed(lines_of(10)):
        line = lines[k]
        one = f"{line[:16]}A{line[17:54]}{0.4:6.2f}{line[60:]}"
        other = f"{line[:16]}B{line[17:30]}{float(line[30:38]) + 1:8.3f}{line[38:54]}{0.6:6.2f}{line[60:]}"
        lines[k : k + 1] = [one, other]
    (chain,), (known,) = read(lines, tmp_path), read(LINES, tmp_path)
    moved = np.zeros((78, 14, 3))
    moved[10, :, 0] = 1.0
    np.testing.assert_allclose(chain.atoms, known.atoms + moved * known.mask[..., None], atol=1e-4)


def test_selenomethionine_is_methionine(tmp_path):
    (known,) = read(LINES, tmp_path)
    number = int(np.flatnonzero(known.residue_types == AMINO_ACIDS.index("M"))[0])
    lines = list(LINES)
    for k in lines_of(number):
        lines[k] = "HETATM" + lines[k][6:17] + "MSE" + lines[k][20:]
        if lines[k][12:16].strip() == "SD":
            lines[k] = lines[k][:12] + "SE  " + lines[k][16:]
    (chain,) = read(lines, tmp_path)
    np.testing.assert_array_equal(chain.residue_types, known.residue_types)
    np.testing.assert_array_equal(chain.mask, known.mask)


def test_missing_residues_are_a_break(tmp_path):
    lines = [line for k, line in enumerate(LINES) if k not in lines_of(30)]
    (chain,) = read(lines, tmp_path)
    assert len(chain.residue_types) == 77
    assert np.flatnonzero(~chain.connected).tolist() == [0, 30]


def test_residue_without_backbone_is_left_out(tmp_path):
    lines = [line for k, line in enumerate(LINES) if k not in lines_of(30, "C")]
    (chain,) = read(lines, tmp_path)
    assert len(chain.residue_types) == 77 and not chain.connected[30]


def test_incomplete_side_chain_is_kept_as_it_is(tmp_path):
    (known,) = read(LINES, tmp_path)
    number = int(np.flatnonzero(known.residue_types == AMINO_ACIDS.index("K"))[0])
    lines = [line for k, line in enumerate(LINES) if k not in lines_of(number, "NZ")]
    (chain,) = read(lines, tmp_path)
    missing = np.argwhere(chain.mask != known.mask).tolist()
    assert missing == [[number, HEAVY_ATOMS[AMINO_ACIDS.index("K")].index("NZ")]]


@pytest.mark.parametrize("reason", ["short", "incomplete", "no protein"])
def test_other_chains_are_left_out(reason, tmp_path):
    if reason == "short":
        lines = [line for k in range(29) for line in (LINES[i] for i in lines_of(k))]
    elif reason == "incomplete":
        lines = [line for line in LINES if line[12:16].strip() != "CB"]
    else:
        lines = [line[:17] + "LIG" + line[20:] for line in LINES]
    assert read(lines, tmp_path) == []


def test_chains_are_told_apart_by_their_letters(tmp_path):
    water = LINES[0][:17] + "HOH C 900" + LINES[0][26:]
    other = [line[:21] + "D" + line[22:] for line in LINES]
    chains = read([*LINES, *other, water], tmp_path)
    assert [chain.name for chain in chains] == ["1abc_B", "1abc_D"]
