"""The mapping, drawn on the molecule: in two dimensions for small molecules, along the sequence for proteins."""

from html import escape

import numpy as np

from openmm_cgvae.report.page import Section, figure, table

__all__ = ["WHEEL", "mapping_section"]

# Okabe and Ito's colours without black, and one more; those of report.js.
WHEEL = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7a6fd0")
# Heavy atoms that a drawing can show, and residues and beads that are listed.
MOST_DRAWN, MOST_RESIDUES, MOST_BEADS = 60, 600, 40
SCALE, MARGIN = 30, 26


def mapping_section(subject):
    """Return the section of the mapping."""
    mapping = subject.mapping
    if mapping is None:
        return Section("mapping", "Mapping", missing=("The mapping is left out: no model was given that has one.",))
    heavy = int((subject.graph.atomic_numbers > 1).sum())
    lead = f"<p>{subject.n_atoms:,} atoms on {mapping.n_beads:,} beads, {subject.n_atoms / mapping.n_beads:.1f} atoms a bead.</p>"
    rows = [
        (escape(name), f"{len(bead)}", f"{mass:.1f}", escape(", ".join(_names(subject, bead))))
        for name, bead, mass in list(zip(mapping.names, mapping.beads, mapping.masses, strict=True))[:MOST_BEADS]
    ]
    data = table(("bead", "atoms", "mass, amu", "heavy atoms"), rows)
    missing = ()
    drawn = _drawing(subject) if heavy <= MOST_DRAWN and not subject.is_protein else None
    if drawn is not None:
        caption = "Heavy atoms by bead; hydrogens belong to the bead of their heavy atom unless the table says otherwise."
        body = figure("mapping", "Beads on the molecule", drawn + _key(mapping), caption, data)
    elif subject.is_protein:
        sequence, missing = _sequence(subject)
        body = figure("mapping", "Beads along the sequence", sequence, "Under every residue the beads that its heavy atoms "
                      "belong to, by colour; colours repeat.", data)  # fmt: skip
    else:
        body, missing = data, ("The mapping is not drawn: this molecule has too many atoms to be laid out flat.",)
    return Section("mapping", "Mapping", lead + body, missing)


def _names(subject, bead):
    listed = list(subject.topology.atoms())
    return [listed[i].name for i in bead if listed[i].element is None or listed[i].element.symbol != "H"][:12]


def _key(mapping):
    parts = zip(mapping.names, mapping.beads, strict=True)
    items = "".join(
        f'<li><i style="background:{WHEEL[k % len(WHEEL)]}"></i> {escape(name)} ({len(bead)} atoms)</li>'
        for k, (name, bead) in enumerate(parts)
        if k < MOST_BEADS
    )
    return f'<ul class="key strip-key">{items}</ul>'


def _drawing(subject):
    """The heavy atoms in two dimensions as SVG; None where RDKit cannot lay them out."""
    laid = _layout(subject.graph)
    if laid is None:
        return None
    heavy, points, orders, hydrogens, charges = laid
    x, y = (SCALE * (points - points.min(0)) + MARGIN).T
    y = y.max() + MARGIN - y
    beads = subject.mapping.assignment[heavy]
    parts = []
    for i, j in orders:
        if beads[i] == beads[j]:
            parts.append(_line("bead", x[i], y[i], x[j], y[j], f'stroke="{_colour(beads[i])}" stroke-width="22"'))
    parts += [
        f'<circle class="bead" cx="{a:.1f}" cy="{b:.1f}" r="13" fill="{_colour(bead)}"/>'
        for a, b, bead in zip(x, y, beads, strict=True)
    ]
    for (i, j), order in orders.items():
        parts += [_line("bond", *ends) for ends in _strokes(x[i], y[i], x[j], y[j], order)]
    numbers = subject.graph.atomic_numbers[heavy]
    for a, b, number, count, charge in zip(x, y, numbers, hydrogens, charges, strict=True):
        label = _label(int(number), count, charge)
        if label:
            parts.append(f'<circle class="halo" cx="{a:.1f}" cy="{b:.1f}" r="8.5" opacity=".75"/>')
            parts.append(f'<text x="{a:.1f}" y="{b:.1f}">{label}</text>')
    told = "; ".join(f"bead {name}: {', '.join(_names(subject, bead))}" for name, bead in zip(subject.mapping.names, subject.mapping.beads, strict=True))
    box = f'viewBox="0 0 {x.max() + MARGIN:.0f} {y.max() + MARGIN:.0f}"'
    wide = f'style="width:{min(34.0, (x.max() + MARGIN) / 11):.1f}rem;max-width:100%"'
    return f'<svg class="beadmap" {box} {wide} role="img" aria-label="{escape(told)}">{"".join(parts)}</svg>'


def _layout(graph):
    """Heavy atoms, their places in two dimensions, bond orders, attached hydrogens and charges."""
    from rdkit import Chem, RDLogger
    from rdkit.Chem import rdDepictor, rdDetermineBonds

    molecule = Chem.RWMol()
    for number in graph.atomic_numbers:
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
    for i, j in graph.bonds:
        molecule.AddBond(int(i), int(j), Chem.BondType.SINGLE)
    known = Chem.Mol(molecule)
    with _quiet(RDLogger):
        try:
            # Of topologies that tell no bond orders; a net charge that is not 0 leaves single bonds.
            rdDetermineBonds.DetermineBondOrders(molecule, charge=0, maxIterations=2000)
            known = molecule.GetMol()
            Chem.Kekulize(known)
        except (ValueError, RuntimeError):
            pass
        try:
            known.UpdatePropertyCache(strict=False)
            flat = Chem.Mol(known)
            heavy = np.flatnonzero(graph.atomic_numbers > 1)
            place = {int(atom): k for k, atom in enumerate(heavy)}
            bare = _without_hydrogens(flat, heavy)
            rdDepictor.Compute2DCoords(bare)
        except (ValueError, RuntimeError):
            return None
    points = np.array(bare.GetConformer().GetPositions())[:, :2]
    orders = {
        (place[bond.GetBeginAtomIdx()], place[bond.GetEndAtomIdx()]): bond.GetBondTypeAsDouble()
        for bond in known.GetBonds()
        if bond.GetBeginAtomIdx() in place and bond.GetEndAtomIdx() in place
    }
    hydrogens = [sum(graph.atomic_numbers[j] == 1 for j in graph.neighbours[i]) for i in heavy]
    charges = [known.GetAtomWithIdx(int(i)).GetFormalCharge() for i in heavy]
    return heavy, points, orders, hydrogens, charges


def _without_hydrogens(molecule, heavy):
    from rdkit import Chem

    bare = Chem.RWMol()
    place = {}
    for i in heavy:
        place[int(i)] = bare.AddAtom(Chem.Atom(molecule.GetAtomWithIdx(int(i)).GetAtomicNum()))
    for bond in molecule.GetBonds():
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if all(end in place for end in ends):
            bare.AddBond(*(place[end] for end in ends), bond.GetBondType())
    bare.UpdatePropertyCache(strict=False)
    return bare.GetMol()


class _quiet:
    """RDKit's messages on what cannot be perceived are of no use here."""

    def __init__(self, logger):
        self.logger = logger

    def __enter__(self):
        self.logger.DisableLog("rdApp.*")

    def __exit__(self, *exception):
        self.logger.EnableLog("rdApp.*")


def _label(number, hydrogens, charge):
    """What is written at an atom; nothing at a carbon, but at its end of a chain."""
    from rdkit import Chem

    if number == 6 and hydrogens < 3 and not charge:
        return ""
    symbol = Chem.GetPeriodicTable().GetElementSymbol(number)
    count = f'H{f"<tspan dy=&quot;3&quot; font-size=&quot;8&quot;>{hydrogens}</tspan>" if hydrogens > 1 else ""}' if hydrogens else ""
    sign = {1: "+", -1: "\u2212"}.get(charge, "")
    return (symbol + count + sign).replace("&quot;", '"')


def _strokes(x1, y1, x2, y2, order):
    """Lines of a bond: one, two or three side by side."""
    length = max(1e-6, float(np.hypot(x2 - x1, y2 - y1)))
    across = np.array([-(y2 - y1), x2 - x1]) / length
    offsets = {2.0: (-2.2, 2.2), 3.0: (-3.6, 0.0, 3.6)}.get(float(order), (0.0,))
    for offset in offsets:
        dx, dy = across * offset
        yield x1 + dx, y1 + dy, x2 + dx, y2 + dy


def _line(kind, x1, y1, x2, y2, more=""):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {more}/>'


def _colour(bead):
    return WHEEL[int(bead) % len(WHEEL)]


def _sequence(subject):
    """Residues as chips with the beads of their heavy atoms, and a sentence on those that are not shown."""
    assignment, names = subject.mapping.assignment, subject.mapping.names
    residues = [residue for residue in subject.topology.residues() if residue.name not in ("HOH", "WAT")]
    chips = []
    for residue in residues[:MOST_RESIDUES]:
        atoms = [a.index for a in residue.atoms() if a.element is None or a.element.symbol != "H"]
        beads = list(dict.fromkeys(assignment[atoms].tolist()))
        blocks = "".join(f'<i style="background:{_colour(bead)}"></i>' for bead in beads)
        told = escape(f"{residue.name}{residue.id}: {', '.join(names[bead] for bead in beads)}")
        chips.append(f'<span title="{told}">{escape(residue.name)}<small>{escape(str(residue.id))}</small><em>{blocks}</em></span>')
    missing = ()
    if len(residues) > MOST_RESIDUES:
        missing = (f"The first {MOST_RESIDUES} of {len(residues):,} residues are drawn.",)
    label = escape(f"{len(residues)} residues with their beads")
    return f'<div class="sequence" role="img" aria-label="{label}">{"".join(chips)}</div>', missing
