"""Write residues.json: ``python -m openmm_cgvae.chemistry.aminoacids.residuedata``.

Names, hydrogens and bonds are those of OpenMM (residues.xml, hydrogens.xml); the order of heavy atoms and the
stereocentres are RDKit's; the geometry is the minimum of the bonded terms of amber14 in small capped peptides, where
no contact bends it. What is typed here is which variants there are and how the atoms of the caps hang together.
"""

import json
from pathlib import Path

import numpy as np

from openmm_cgvae.chemistry.aminoacids.frames import local_frame
from openmm_cgvae.chemistry.aminoacids.ideal_peptides import IdealPeptide, heavy_neighbours, names_of, planar
from openmm_cgvae.chemistry.aminoacids.residuetraits import (
    chi_of,
    equivalent_of,
    in_middle,
    prochiral_of,
    stereocentres_of,
)
from openmm_cgvae.core.output import write_text

__all__ = ["write_residues"]

PATH = Path(__file__).with_name("residues.json")
ORDER = "ARNDCQEGHILKMFPSTWYV"
# Variants by the names of amber14, with the one-letter code they belong to; CYM and CYX are CYS without its hydrogen.
VARIANTS = {
    "ALA": "A", "ARG": "R", "ASN": "N", "ASP": "D", "ASH": "D", "CYS": "C", "CYX": "C", "CYM": "C", "GLN": "Q",
    "GLU": "E", "GLH": "E", "GLY": "G", "HID": "H", "HIE": "H", "HIP": "H", "ILE": "I", "LEU": "L", "LYS": "K",
    "LYN": "K", "MET": "M", "PHE": "F", "PRO": "P", "SER": "S", "THR": "T", "TRP": "W", "TYR": "Y", "VAL": "V",
}  # fmt: skip
# Atom, its references, and whether its frame is symmetric in the last two of them (see `residues.Template`).
CAP_ROWS = {
    "ACE": [
        ("C", ("+N", "+CA", "+C"), False),
        ("O", ("C", "+N", "+CA"), False),
        ("CH3", ("C", "+N", "+CA"), False),
    ],
    "NME": [("N", ("-C", "-CA", "-O"), True), ("C", ("N", "-C", "-CA"), False)],
    "NH2": [("N", ("-C", "-CA", "-O"), True)],
}
# phi of a residue behind an acetyl cap: the two common regions of the Ramachandran map.
ACE_PHI = [-65.0, -120.0]


def write_residues(path=PATH):
    """Write the residue library as JSON and return its path."""
    library = {"order": ORDER, "variants": {}, "n_terminus": {}, "c_terminus": {}, "caps": {}}
    for variant, letter in VARIANTS.items():
        library["variants"][variant] = _variant(variant, letter)
    library["n_terminus"] = _n_termini(library["variants"])
    library["c_terminus"] = _c_termini(library["variants"])
    library["caps"] = _caps()
    lines = [f" {json.dumps(key)}: {_block(value)}" for key, value in library.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    return path


def _block(value):
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n }"


# Placements


def _row(peptide, name, references, symmetric, turn=0.0):
    """Placement row: name, references, symmetric, local coordinates in nm turned back by `turn` radians."""
    x, y, z = _local(peptide.positions, *(peptide.index[n] for n in (name, *references)), symmetric)
    y, z = y * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - y * np.sin(turn)
    return [name, *references, int(symmetric), *_rounded(x, y, z)]


def _rounded(*values):
    return [round(float(v), 4) + 0.0 for v in values]


def _mean_rows(rows):
    """Rows of two or three hydrogens of one atom made alike: mirror images, or a third of a turn apart."""
    x, y, _ = np.mean([row[-3:] for row in rows], axis=0)
    if len(rows) == 2:
        height = np.mean([abs(row[-1]) for row in rows])
        return [[*row[:-3], *_rounded(x, y, np.copysign(height, row[-1]))] for row in rows]
    if len(rows) == 3:
        # Exchangeable, hence in one sense.
        radius = np.mean([np.hypot(*row[-2:]) for row in rows])
        angles = [0.0, 2 * np.pi / 3, -2 * np.pi / 3]
        return [
            [*r[:-3], *_rounded(x, radius * np.cos(a), radius * np.sin(a))] for r, a in zip(rows, angles, strict=True)
        ]
    return rows


def _pair_in_order(rows, turning):
    """Rows of two exchangeable hydrogens by one rule: the second of an amine above, the first of an amide cis to O."""
    if turning:
        return [rows[0], [*rows[1][:-1], abs(rows[1][-1])]]
    places = sorted((row[-3:] for row in rows), key=lambda place: place[1])
    return [[*row[:-3], *place] for row, place in zip(rows, places, strict=True)]


def _local(positions, atom, origin, first, second, symmetric):
    axes = local_frame(*positions[[origin, first, second]], symmetric)
    return axes @ (positions[atom] - positions[origin])


def _hydrogens(peptide, names):
    """Placement rows and rotors of hydrogens, a rotor listing its hydrogens and its preferred torsions in degrees."""
    rows, rotors = [], []
    parents = {}
    for name in names:
        parents.setdefault(peptide.neighbours[peptide.index[name]][0], []).append(name)
    for parent, group in parents.items():
        heavy = heavy_neighbours(peptide, parent)
        if len(heavy) > 1:
            rows += _mean_rows([_row(peptide, n, names_of(peptide, parent, *heavy[:2]), True) for n in group])
            continue
        references = names_of(peptide, parent, heavy[0], heavy_neighbours(peptide, heavy[0], parent)[0])
        turning = len(group) != 2 or not planar(peptide, parent)
        first = _row(peptide, group[0], references, False)
        turn = np.arctan2(first[-1], first[-2]) if turning else 0.0
        alike = [_row(peptide, n, references, False, turn) for n in group]
        rows += _pair_in_order(alike, turning) if len(group) == 2 else _mean_rows(alike)
        if turning:
            rotors.append([group, _wells(peptide, group, references)])
    return rows, rotors


def _wells(peptide, group, references):
    """Minima of the energy along a rotor's torsion within 8 kJ/mol of the lowest, in degrees."""
    origin, first, second = (peptide.index[n] for n in references)
    axes = local_frame(*peptide.positions[[origin, first, second]], False)
    atoms = [peptide.index[n] for n in group]
    local = (peptide.positions[atoms] - peptide.positions[origin]) @ axes.T
    start = np.arctan2(local[0, 2], local[0, 1])
    angles, energies = np.arange(0, 360, 5), []
    for angle in np.radians(angles):
        # A torsion turns against x, which looks from the origin back to its first reference.
        c, s = np.cos(-angle - start), np.sin(-angle - start)
        turned = local @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        positions = peptide.positions.copy()
        positions[atoms] = positions[origin] + turned @ axes
        energies.append(peptide.energy(positions))
    energies = np.array(energies) - min(energies)
    low = (energies <= np.roll(energies, 1)) & (energies < np.roll(energies, -1)) & (energies < 8.0)
    return [float(a) for a in angles[low]]


# Residues, termini, caps


def _part(peptide, names, rows, rotors):
    """Atoms, bonds, placement rows and rotors of a residue or of what a terminus adds to it."""
    seen, bonds = set(names), []
    for name in names:
        for j in peptide.neighbours[peptide.index[name]]:
            other = peptide.names[j]
            if other not in seen or names.index(other) > names.index(name):
                bonds.append([name, other])
    atoms = [[n, peptide.elements[peptide.index[n]]] for n in names]
    return {"atoms": atoms, "bonds": bonds, "placements": rows, "rotors": rotors}


def _variant(variant, letter):
    from rdkit import Chem

    # amber14 knows cysteine without hydrogen by its names CYM and CYX; OpenMM adds hydrogens by CYX.
    peptide = IdealPeptide(letter, {"CYM": "CYX"}.get(variant, variant if variant in _openmm_variants() else None))
    # What termini change, the hydrogens of N and OXT, is no part of the residue itself.
    names = [n for n in peptide.own() if n != "H"]
    hydrogens = [n for n in names if peptide.elements[peptide.index[n]] == "H"]
    part = _part(peptide, names, *_hydrogens(peptide, hydrogens))
    part["bonds"] = [b for b in part["bonds"] if b[1] != "H" and b[1][0] not in "+-?"]
    molecule = Chem.MolFromSequence("G" + letter + "G")
    heavy = [n for n in names if n not in hydrogens]
    name = next(a.GetPDBResidueInfo().GetResidueName() for a in molecule.GetAtoms() if in_middle(a))
    return {
        "letter": letter,
        "name": name,
        **part,
        "stereocentres": stereocentres_of(peptide, molecule),
        "prochiral": prochiral_of(peptide, molecule, heavy),
        "equivalent": equivalent_of(peptide, names),
        "chi": chi_of(peptide, heavy),
    }


def _openmm_variants():
    return {"ASH", "CYX", "GLH", "HID", "HIE", "HIP", "LYN"}


def _n_termini(variants):
    """What a residue has at its nitrogen inside a chain, at a charged and at a neutral start; proline apart."""
    inside, start = IdealPeptide("A"), IdealPeptide("A", n_cap=None)
    proline = IdealPeptide("P", n_cap=None)
    amine = {"H": "HZ1", "H2": "HZ2"}
    lysine = variants["LYN"]
    rows = [r for r in lysine["placements"] if r[0] in amine.values()]
    back = {"HZ1": "H", "HZ2": "H2", "NZ": "N", "CE": "CA", "CD": "C"}
    wells = next(w for group, w in lysine["rotors"] if "HZ1" in group)
    neutral = {
        "atoms": [["H", "H"], ["H2", "H"]],
        "bonds": [["N", "H"], ["N", "H2"]],
        "placements": [[back[n] for n in row[:4]] + row[4:] for row in rows],
        "rotors": [[["H", "H2"], wells]],
    }
    proline_charged = _hydrogen_part(proline, ["H2", "H3"])
    third = [["H", *row[1:]] for row in proline_charged["placements"] if row[0] == "H3"]
    return {
        "chain": _hydrogen_part(inside, ["H"]),
        "charged": _hydrogen_part(start, ["H", "H2", "H3"]),
        "neutral": neutral,
        "chain:PRO": {"atoms": [], "bonds": [], "placements": [], "rotors": []},
        "charged:PRO": proline_charged,
        "neutral:PRO": {"atoms": [["H", "H"]], "bonds": [["N", "H"]], "placements": third, "rotors": []},
    }


def _hydrogen_part(peptide, names):
    part = _part(peptide, names, *_hydrogens(peptide, names))
    part["bonds"] = [[b, a] for a, b in part["bonds"]]
    return part


def _c_termini(variants):
    """What a residue has behind its carbonyl inside a chain, at a charged and at a neutral end."""
    end = IdealPeptide("A", c_cap=None)
    acid = IdealPeptide("D", "ASH")
    hydroxyl = next(r for r in variants["ASH"]["placements"] if r[0] == "HD2")
    wells = next(w for group, w in variants["ASH"]["rotors"] if "HD2" in group)
    back = {"HD2": "HXT", "OD2": "OXT", "CG": "C", "CB": "CA", "OD1": "O"}
    oxygen = _row(acid, "OD2", ("CG", "CB", "OD1"), True)
    return {
        "chain": {"atoms": [], "bonds": [], "placements": [], "rotors": []},
        "charged": {
            "atoms": [["OXT", "O"]],
            "bonds": [["C", "OXT"]],
            "placements": [_row(end, "OXT", ("C", "CA", "O"), True)],
            "rotors": [],
        },
        "neutral": {
            "atoms": [["OXT", "O"], ["HXT", "H"]],
            "bonds": [["C", "OXT"], ["OXT", "HXT"]],
            "placements": [[back[n] for n in row[:4]] + row[4:] for row in (oxygen, hydroxyl)],
            "rotors": [[["HXT"], wells]],
        },
    }


def _caps():
    """Caps as residues of their own: ACE before a residue, before proline, NME and NH2 behind."""
    return {
        "ACE": _cap(IdealPeptide("A", focus=-1), "ACE", CAP_ROWS["ACE"], ["C", "O", "CH3"]),
        "ACE:PRO": _cap(
            IdealPeptide("P", focus=-1),
            "ACE",
            [("C", ("+N", "+CA", "+CD"), True), *CAP_ROWS["ACE"][1:]],
            ["C", "O", "CH3"],
        ),
        "NME": _cap(IdealPeptide("A", focus=1), "NME", CAP_ROWS["NME"], ["N", "C"]),
        "NH2": _cap(IdealPeptide("A", c_cap="NH2", focus=1), "NH2", CAP_ROWS["NH2"], ["N"]),
    }


def _cap(peptide, name, heavy_rows, heavy):
    hydrogens = [n for n in peptide.own() if n not in heavy]
    rows = []
    rotors = []
    for atom, references, symmetric in heavy_rows:
        turn = 0.0
        if atom == "C" and name == "ACE" and not symmetric:
            _, y, z = _row(peptide, atom, references, symmetric)[-3:]
            turn = np.arctan2(z, y)
            rotors.append([["C"], ACE_PHI])
        rows.append(_row(peptide, atom, references, symmetric, turn))
    more, turning = _hydrogens(peptide, hydrogens)
    part = _part(peptide, heavy + hydrogens, rows + more, rotors + turning)
    part["bonds"] = [b for b in part["bonds"] if b[1][0] not in "+-?"]
    return {"name": name, **part}


if __name__ == "__main__":
    print(write_residues())
