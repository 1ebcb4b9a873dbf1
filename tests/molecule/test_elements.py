"""Ions are what their names say, beads have no element, and atoms keep theirs."""

import mdtraj
import pytest

from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.molecule.elements import ion_element

IONS = [
    ("NA", "NA", "Na"), ("SOD", "SOD", "Na"), ("Na+", "Na+", "Na"), ("NA+", "NA", "Na"), ("ION", "NA+", "Na"),
    ("CL", "CL", "Cl"), ("CLA", "CLA", "Cl"), ("Cl-", "Cl-", "Cl"), ("ION", "CL-", "Cl"), ("ION", "CL", "Cl"),
    ("K", "K", "K"), ("POT", "POT", "K"), ("K+", "K+", "K"), ("CES", "CES", "Cs"), ("CS", "CS", "Cs"),
    ("CA", "CA", "Ca"), ("CAL", "CAL", "Ca"), ("CA2+", "CA", "Ca"), ("ION", "CA+", "Ca"), ("LIT", "LIT", "Li"),
    ("MG", "MG", "Mg"), ("MG2", "MG", "Mg"), ("ZN", "ZN", "Zn"), ("ZN2", "ZN", "Zn"), ("RUB", "RUB", "Rb"),
    ("BR", "BR", "Br"), ("IOD", "IOD", "I"), ("BAR", "BAR", "Ba"), ("CAD", "CAD", "Cd"), ("NA", "SOD", "Na"),
    ("NA", "ION", "Na"),
]  # fmt: skip


@pytest.mark.parametrize(("residue", "atom", "symbol"), IONS)
def test_ions_are_known_by_name(residue, atom, symbol):
    assert ion_element(residue, atom) == symbol


@pytest.mark.parametrize(
    ("residue", "atom"),
    [
        ("ALA", "CA"),
        ("ALA", "BB"),
        ("W", "W"),
        ("ION", "ION"),
        ("ION", "X"),
        ("CAL", "C1"),
        ("NAG", "C1"),
        ("CO", "OX"),
    ],
)
def test_other_names_are_no_ions(residue, atom):
    assert ion_element(residue, atom) is None


def gro(path, atoms):
    lines = [f"{k:5d}{res:<5}{name:>5}{k:5d}{0.3 * k:8.3f}{0:8.3f}{0:8.3f}" for k, (res, name) in enumerate(atoms, 1)]
    path.write_text("\n".join(["beads", f"{len(atoms)}", *lines, "   9.0   9.0   9.0"]) + "\n")
    return path


def pdb(path, atoms):
    lines = [
        f"ATOM  {k:5d} {name:<4} {res:<4}A{k:4d}    {3.0 * k:8.3f}{0:8.3f}{0:8.3f}  1.00  0.00"
        for k, (res, name) in enumerate(atoms, 1)
    ]
    path.write_text("\n".join([*lines, "END"]) + "\n")
    return path


@pytest.mark.parametrize(("suffix", "write"), [(".gro", gro), (".pdb", pdb)])
def test_files_without_elements_leave_beads_without_and_name_ions(tmp_path, suffix, write):
    atoms = [("NA", "NA"), ("CL", "CL"), ("SOD", "SOD"), ("W", "W"), ("ALA", "BB"), ("HOH", "O"), ("PHE", "SC1"),
             ("CLA", "CLA"), ("POT", "POT"), ("ZN", "ZN")]  # fmt: skip
    found = load_topology(write(tmp_path / f"a{suffix}", atoms))
    symbols = ["Na", "Cl", "Na", "VS", "VS", "O", "VS", "Cl", "K", "Zn"]
    assert [atom.element.symbol for atom in found.atoms] == symbols


def test_an_all_atom_file_keeps_its_elements(tmp_path, topology, reference):
    mdtraj.Trajectory(reference[0][:1], topology).save(str(tmp_path / "a.gro"))
    mdtraj.Trajectory(reference[0][:1], topology).save(str(tmp_path / "b.pdb"))
    lines = (tmp_path / "b.pdb").read_text().splitlines(keepends=True)
    (tmp_path / "b.pdb").write_text("".join(line[:76].rstrip() + "\n" for line in lines))
    for name in ("a.gro", "b.pdb"):
        found = load_topology(tmp_path / name)
        assert [a.element.symbol for a in found.atoms] == [a.element.symbol for a in topology.atoms]
