"""The three-dimensional view: what is shown, thinned to a size that a page can carry."""

import base64
from html import escape

import numpy as np

from openmm_cgvae.evaluation.surprise import bead_surprise, residue_surprise
from openmm_cgvae.io.thinning import thinned
from openmm_cgvae.metrics.peptides import backbone_torsions
from openmm_cgvae.report.page import Section, figure

__all__ = ["view_section"]

# Coordinates of atoms that the view carries: six bytes each, eight as text.
ATOMS_CARRIED = 220_000
MOST_FRAMES, MOST_SETS, MOST_SAMPLES = 80, 6, 8
# Systems beyond so many atoms are shown without hydrogens, and beyond so many heavy atoms by their backbone.
WITH_HYDROGENS, HEAVY = 8_000, 20_000
BACKBONE = {"N", "CA", "C", "O"}
CONTACT, CLASH = 0.26, 0.20
CYSTEINE_SULFUR = "SG"
# Angstrom of spread, and surprise, at the end of the scale; hardly anything is beyond.
MOST_SPREAD, MOST_SURPRISE = 3.0, 8.0
COLOURS = {
    "element": "element", "bead": "bead", "sample": "sample", "spread": "spread of samples", "clash": "close contacts",
    "training": "distance from training",
}  # fmt: skip


def view_section(subject):
    """Return the section of the view, and what its scripts need."""
    atoms, note = _shown_atoms(subject)
    positions = subject.structures[:, :, atoms]
    centre = positions.reshape(-1, 3).mean(0) if len(positions) == 1 else positions[:, 0].mean(1, keepdims=True)
    frames, sets = _chosen(positions.shape)
    # Every frame about its own centre, so that a molecule that travels stays in view.
    origin = np.broadcast_to(centre, (len(positions), 1, 3))
    beads = None if subject.beads is None or subject.mapping is None else subject.beads - origin
    positions = positions - origin[:, None]
    scale = max(0.005, 10.5 * float(np.abs(positions[frames]).max()) / 32767)
    payload = _atoms(subject, atoms) | {"title": subject.title, "scale": scale}
    payload |= {"frames": subject.numbers[frames].tolist(), "xyz": _int16(positions[frames, 0], scale)}
    near = _near_pairs(subject)
    payload["clash"] = [_contacts(subject, atoms, near, positions[k, 0]) for k in frames]
    payload["sets"] = [_samples(subject, atoms, near, positions[k], k, frames, scale) for k in sets]
    payload["beads"] = None if beads is None else _beads(subject, atoms, beads[frames], scale)
    payload["spread"] = _spread(positions[frames])
    payload["training"], why = _training(subject, atoms, frames)
    missing = tuple(filter(None, [note, *_missing(payload), why]))
    count = f"{len(frames)} of {len(positions):,} frames" if len(frames) < len(positions) else _plural(len(frames))
    caption = (
        f"{count}, each about its centre. Drag to turn, scroll or pinch to zoom; with the keyboard, arrow keys, plus "
        f"and minus. {'Beads are the translucent spheres.' if payload['beads'] else ''}"
    )
    body = figure("view", "Structures in three dimensions", _controls(payload), caption)
    return Section("structures", "Structures", body, missing), payload


def _plural(count):
    return "One frame" if count == 1 else f"{count} frames"


def _shown_atoms(subject):
    """Numbers of the atoms to show, and a sentence on those that are not."""
    listed = list(subject.topology.atoms())
    every = np.arange(len(listed))
    if len(every) <= WITH_HYDROGENS:
        return every, ""
    heavy = np.array([i for i, a in enumerate(listed) if a.element is None or a.element.symbol != "H"])
    if len(heavy) <= HEAVY:
        return heavy, f"Hydrogens are left out of the view of these {len(every):,} atoms."
    chosen = np.array([i for i in heavy if listed[i].name in BACKBONE])
    chosen = chosen if len(chosen) else heavy
    chosen = chosen[: 4 * HEAVY]
    return chosen, f"The view shows {len(chosen):,} backbone atoms of {len(every):,} atoms, which a page cannot carry."


def _chosen(shape):
    """Frames of the trajectory, and those of them whose samples are overlaid."""
    n_frames, n_samples, n, _ = shape
    budget = max(2, ATOMS_CARRIED // n)
    samples = min(n_samples, MOST_SAMPLES)
    n_sets = 0 if samples < 2 else min(MOST_SETS, n_frames, max(1, budget // (2 * samples)))
    count = min(n_frames, MOST_FRAMES, max(1, budget - n_sets * samples))
    frames = thinned(n_frames, count)
    return frames, frames[thinned(len(frames), n_sets)] if n_sets else []


def _atoms(subject, atoms):
    """Names, elements and bonds of the atoms that are shown."""
    listed = list(subject.topology.atoms())
    place = {int(number): k for k, number in enumerate(atoms)}
    bonds = [[] for _ in atoms]
    orders = [[] for _ in atoms]
    for bond in subject.topology.bonds():
        i, j = (place.get(end.index) for end in (bond[0], bond[1]))
        if i is not None and j is not None:
            for one, other in ((i, j), (j, i)):
                bonds[one].append(other)
                orders[one].append(int(bond.order or 1))
    residues = [
        [r.name, int(r.id) if str(r.id).lstrip("-").isdigit() else r.index, r.chain.id or "", "c"]
        for r in subject.topology.residues()
    ]
    protein = subject.is_protein and len(subject.chain.residue_types) > 12
    if protein:
        for residue, kind in zip(subject.residues, _secondary(subject), strict=True):
            residues[residue.index][3] = kind
    known = {
        "elements": [listed[i].element.symbol if listed[i].element else "X" for i in atoms],
        "names": [listed[i].name for i in atoms],
        "residue": [listed[i].residue.index for i in atoms],
        "residues": residues, "bonds": bonds, "protein": protein, "cysteines": _bridges(listed, atoms, bonds),
    }  # fmt: skip
    return known | ({"orders": orders} if any(order != 1 for row in orders for order in row) else {})


def _bridges(listed, atoms, bonds):
    """Atoms of disulfide bonds, which a cartoon would hide."""
    sulfur = [k for k, i in enumerate(atoms) if listed[i].name == CYSTEINE_SULFUR]
    bridged = [k for k in sulfur if any(listed[atoms[j]].name == CYSTEINE_SULFUR for j in bonds[k])]
    residues = {listed[atoms[k]].residue.index for k in bridged}
    wanted = {"CA", "CB", CYSTEINE_SULFUR}
    return [k for k, i in enumerate(atoms) if listed[i].residue.index in residues and listed[i].name in wanted]


def _secondary(subject):
    """Helix, strand or coil of every residue by its phi and psi, four or three of a kind in a row."""
    chain = subject.chain
    angles = np.degrees(backbone_torsions(subject.residue_atoms[0, 0], chain.mask, chain.connected)[:, :2])
    phi, psi = np.nan_to_num(angles, nan=999.0).T
    kinds = np.full(len(phi), "c")
    tests = (("h", (phi > -105) & (phi < -35) & (psi > -75) & (psi < -10), 4),
             ("s", (phi < -80) & (phi > -180) & ((psi > 90) | (psi < -165)) & (psi < 180), 3))  # fmt: skip
    for kind, there, least in tests:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], there, [0]]).astype(int))).reshape(-1, 2)
        for start, end in edges:
            if end - start >= least:
                kinds[start:end] = kind
    return kinds.tolist()


def _contacts(subject, atoms, near, positions):
    """Heavy atoms in contact, [atom, 1 or 2] each, 2 where it is a clash."""
    from scipy.spatial import cKDTree

    heavy = np.flatnonzero(subject.graph.atomic_numbers[atoms] > 1)
    pairs = heavy[cKDTree(positions[heavy]).query_pairs(CONTACT, output_type="ndarray")]
    pairs = pairs[~np.isin(atoms[pairs].min(1) * subject.n_atoms + atoms[pairs].max(1), near)]
    levels = np.zeros(len(atoms), dtype=int)
    close = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1) < CLASH
    for level, rows in ((1, pairs), (2, pairs[close])):
        levels[rows.ravel()] = level
    found = np.flatnonzero(levels)
    return np.stack([found, levels[found]], axis=1).tolist()


def _near_pairs(subject):
    """Numbers of the pairs of atoms up to three bonds apart, which are no contacts."""
    pairs = subject.graph.pairs_within(3)
    return pairs[:, 0] * subject.n_atoms + pairs[:, 1]


def _samples(subject, atoms, near, positions, row, frames, scale):
    shown = positions[:MOST_SAMPLES]
    return {
        "frame": int(np.flatnonzero(frames == row)[0]), "count": len(shown), "xyz": _int16(shown, scale),
        "clash": [_contacts(subject, atoms, near, sample) for sample in shown],
    }  # fmt: skip


def _beads(subject, atoms, beads, scale):
    mapping = subject.mapping
    bonds = [[] for _ in range(mapping.n_beads)]
    for i, j in mapping.bead_bonds:
        bonds[i].append(int(j))
        bonds[j].append(int(i))
    return {"names": list(mapping.names), "bonds": bonds, "of": mapping.assignment[atoms].tolist(),
            "xyz": _int16(beads, scale)}  # fmt: skip


def _spread(positions):
    """Standard deviation over the samples of every frame, per atom, in bytes; None of single samples."""
    if positions.shape[1] < 2:
        return None
    spread = 10 * np.sqrt(positions.var(axis=1).sum(-1))
    most = round(float(np.clip(np.percentile(spread, 99), 0.2, MOST_SPREAD)), 1)
    return {"max": most, "values": _bytes(spread / most)}


def _training(subject, atoms, frames):
    """How far from training, per bead or per residue, in bytes; None and a sentence where that is not known."""
    if subject.potential is not None and subject.beads is not None:
        values, of = bead_surprise(subject.potential, subject.beads[frames]), subject.mapping.assignment[atoms]
        note = "free energy of the bead's distances and angles in the training data"
        ends = "0 kT", f"{MOST_SURPRISE:g} kT"
    elif subject.is_protein:
        chain = subject.chain
        values = residue_surprise(chain.residue_types, subject.residue_atoms_of(frames), chain.mask, chain.connected)
        number = {residue.index: k for k, residue in enumerate(subject.residues)}
        listed = list(subject.topology.atoms())
        of = np.array([number.get(listed[i].residue.index, -1) for i in atoms])
        values, note = values * (MOST_SURPRISE / 4), "how rare the residue's torsions are in crystals"
        ends = "common", "1 in 10,000"
    else:
        return None, (
            "Colour by distance from training is left out: no model with a CG potential of its training data was "
            "given, and these are no residues of which crystals tell."
        )
    scaled = _bytes(values / MOST_SURPRISE)
    known = {"values": scaled, "count": values.shape[1], "of": of.tolist(), "low": ends[0], "high": ends[1]}
    return known | {"note": note}, ""


def _missing(payload):
    if payload["beads"] is None:
        yield "Beads are not shown: no model was given whose mapping would tell them."
    if not payload["sets"]:
        yield "Samples of one frame are not overlaid, nor coloured by their spread: there is one structure a frame."


def _controls(payload):
    """The view with its controls; those that would do nothing are left out."""
    there = {"element", "clash"} | {name for name in ("spread", "training") if payload[name]}
    there |= ({"bead"} if payload["beads"] else set()) | ({"sample"} if payload["sets"] else set())
    colours = "".join(f'<option value="{key}">{name}</option>' for key, name in COLOURS.items() if key in there)
    shapes = "".join(
        f'<option value="{name}">{name}</option>'
        for name in (("cartoon",) if payload["protein"] else ()) + ("sticks", "spheres")
    )
    modes = (
        '<span class="group" role="group" aria-label="What is shown">'
        '<button id="mode-frames" aria-pressed="true">Trajectory</button>'
        '<button id="mode-samples" aria-pressed="false">Samples of a frame</button></span>'
        if payload["sets"]
        else ""
    )
    ticks = [("beads", "beads")] if payload["beads"] else []
    ticks += [("hydrogens", "hydrogens")] if "H" in payload["elements"] else []
    boxes = "".join(f'<label><input type="checkbox" id="show-{key}">{name}</label>' for key, name in ticks)
    last = len(payload["frames"]) - 1
    return f"""<div class="viewer">
<div id="view" tabindex="0" role="application" aria-label="{escape(payload["title"])}"></div>
<img id="view-print" alt="The structures as they were shown when this page was printed">
<p id="no-view" hidden>The view needs WebGL, which this browser has not: the figures below do not.</p>
<div class="controls" id="controls">{modes}
<button id="play" aria-pressed="false">Play</button>
<label><span class="sr">Frame</span><input type="range" id="frame" min="0" max="{last}" value="0">
<span id="frame-label"></span></label>
<label>Colour <select id="colour">{colours}</select></label>
<label>Shape <select id="shape">{shapes}</select></label>
{boxes}<button id="reset">Reset view</button></div>
<div id="legend" aria-live="polite"></div></div>
<noscript><p class="left-out">The view needs JavaScript.</p></noscript>"""


def _int16(positions, scale):
    """Positions in nm as text of whole numbers, `scale` Angstrom each."""
    values = np.round(np.clip(10 * positions / scale, -32767, 32767)).astype("<i2")
    return base64.b64encode(values.tobytes()).decode()


def _bytes(shares):
    return base64.b64encode(np.round(255 * np.clip(np.nan_to_num(shares), 0, 1)).astype(np.uint8).tobytes()).decode()
