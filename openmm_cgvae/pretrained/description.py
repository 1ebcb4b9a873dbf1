"""What a model file says of itself: rows of a table."""

from openmm_cgvae.molecule.mapping import CGMapping

__all__ = ["description_rows"]


def description_rows(model, path):
    """Return (name, value) rows of a `Model` read from `path`: what it serves, was trained on, and is worth."""
    file, known = model.file, model.metadata
    rows = [
        ("model", known.get("name", path.stem)),
        ("file", f"{path} ({path.stat().st_size / 1e6:.1f} MB, format {known['format_version']})"),
        ("serves", model.serves),
    ]
    if model.of_any_molecule:
        return rows + _any_molecule_rows(path, known)
    rows += _molecule_rows(file)
    data = known.get("data", {})
    if "frames" in data:
        parts = "/".join(str(n) for n in data["frames_train_validation_test"])
        rows.append(("trained on", f"{data['frames']} frames of {data['runs']} runs ({parts} train/validation/test)"))
    if "prior" in known.get("model", {}) and "training" in known:
        rows.append(("prior, epochs", f"{known['model']['prior']}, {known['training']['epochs_done']}"))
    for name, value in known.get("held_out", {}).items():
        if isinstance(value, int | float) and not name.startswith("md_"):
            rows.append((f"  held-out {name}", value))
    return rows


def _molecule_rows(file):
    mapping = CGMapping.from_dict(file.mapping)
    rows = [("molecule", f"{mapping.n_atoms} atoms on {mapping.n_beads} beads")]
    for name, bead, mass in zip(mapping.names, mapping.beads, mapping.masses, strict=True):
        rows.append((f"  bead {name}", f"{len(bead)} atoms, {mass:.1f} amu"))
    return [*rows, ("CG potential", "yes" if file.potential else "no")]


def _any_molecule_rows(path, known):
    """Of a model that is of no molecule in particular."""
    rows = [("consistency", known["consistency"])] if "consistency" in known else []
    rows.append(("network", ", ".join(f"{name} {value}" for name, value in known.get("model", {}).items())))
    rows += _data_rows(known.get("data", {}))
    for what in ("residues", "conformers"):
        if f"{what}_seen" in known.get("training", {}):
            rows.append((f"{what} seen", known["training"][f"{what}_seen"]))
    for name, value in known.get("validation", {}).items():
        rows.append((f"  cross-entropy of {name}", value))
    card = path.with_suffix(".md")
    return [*rows, *([("card", card)] if card.is_file() else [])]


def _data_rows(data):
    """What was trained on: chains of proteins, or conformers of small molecules."""
    rows = []
    if "chains_train_validation_test" in data:
        train, validation, test = data["chains_train_validation_test"]
        rows.append(("trained on", f"{train} chains, {data['residues']} residues ({validation}/{test} held out)"))
    if "molecules" in data:
        train, validation, test = (data["molecules"][name] for name in ("train", "validation", "test"))
        text = f"{train} molecules, {data['conformers']} conformers ({validation}/{test} molecules held out)"
        rows.append(("trained on", text))
    if "start" in data:
        rows.append(("begun with", data["start"]["model"]))
    return rows
