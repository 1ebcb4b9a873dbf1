"""Damage to files: of bytes, of what JSON says, and of the members of archives."""

import io
import json
import tempfile
import zipfile
from pathlib import Path

from openmm_cgvae.core.archive import ArchiveWriter

WORDS = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x7f\xf8\0\0"]
ODD = [
    None, True, False, 0, 1, -1, 2, 7, 1.5, -0.0, 1e308, -1e308, 1e-320, float("nan"), float("inf"), 2**31, 2**63,
    2**64, 10**30, "", "1", "x", "\n", "\0", "a" * 1000, "../../x", [], {}, [[]], [None], {"a": 1}, [0] * 20,
    [[0, 0, 0]],
]  # fmt: skip
SPLICES = ["-", ".", "E", "99999", "nan", "*", " ", "\t", "\n", "END\n", "é"]


def mutated_bytes(content, rng):
    """Cut off, with bytes or a bit or a word changed, a piece missing, doubled or moved, or text put in."""
    content, kind = bytearray(content), rng.integers(9)
    if not content:
        return bytes(rng.integers(256, size=20).tolist())
    at, size = int(rng.integers(len(content))), int(rng.integers(1, 60))
    if kind == 0:
        return bytes(content[:at])
    if kind == 1:
        for place in rng.integers(len(content), size=rng.integers(1, 8)):
            content[place] = rng.integers(256)
    elif kind == 2:
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        content[at : at + 4] = WORDS[rng.integers(len(WORDS))]
    elif kind == 4:
        del content[at : at + size]
    elif kind == 5:
        content[at:at] = content[at : at + size]
    elif kind == 6:
        other = int(rng.integers(len(content)))
        content[at : at + size] = content[other : other + size]
    elif kind == 7:
        content[at:at] = SPLICES[rng.integers(len(SPLICES))].encode()
    else:
        # Near the beginning, where heads are.
        place = int(rng.integers(min(len(content), 400)))
        content[place : place + 4] = WORDS[rng.integers(len(WORDS))]
    return bytes(content)


def mutated_json(content, rng):
    """One or two entries of a JSON text replaced, gone, doubled, exchanged or nudged."""
    value = json.loads(content)
    for _ in range(rng.integers(1, 3)):
        value = _mutated_value(value, rng)
    return json.dumps(value).encode()


def mutated_lines(content, rng):
    """A line of JSON texts changed as `mutated_json` does, or gone, doubled, or moved."""
    lines, kind = content.splitlines(keepends=True), rng.integers(5)
    at = int(rng.integers(len(lines)))
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(int(rng.integers(len(lines))), lines[at])
    elif kind == 2:
        lines[0], lines[at] = lines[at], lines[0]
    else:
        lines[at] = mutated_json(lines[at], rng) + b"\n"
    return b"".join(lines)


def _mutated_value(value, rng):
    parent, key = _place(value, rng)
    if parent is None:
        return ODD[rng.integers(len(ODD))]
    kind = rng.integers(6)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(key, parent[key])
    elif kind == 2:
        keys = list(range(len(parent))) if isinstance(parent, list) else list(parent)
        other = keys[rng.integers(len(keys))]
        parent[key], parent[other] = parent[other], parent[key]
    elif kind == 3 and isinstance(parent[key], int | float):
        parent[key] = parent[key] * float(rng.choice([-1, 10, 1e-9, 1.0001])) + float(rng.choice([0, 1, -1]))
    else:
        parent[key] = ODD[rng.integers(len(ODD))]
    return value


def _place(value, rng):
    """A container in a value, and a key of it; each level down is as likely as to stay."""
    parent, key = None, None
    while isinstance(value, list | dict) and value and (parent is None or rng.random() < 0.75):
        keys = list(range(len(value))) if isinstance(value, list) else list(value)
        parent, key = value, keys[rng.integers(len(keys))]
        value = value[key]
    return parent, key


def mutated_archive(content, rng):
    """An archive with a member changed, missing, added, renamed or exchanged, its checksums as they should be."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if not name.endswith("checksums.json")}
    names = list(members)
    # The few members that say something, as often as the many with numbers.
    telling = [name for name in names if name.endswith((".json", ".pkl", "description.npy", ".npz"))] or names
    name = (telling if rng.random() < 0.6 else names)[rng.integers(len(telling))] if telling else names[0]
    kind = rng.integers(8)
    if kind == 0:
        del members[name]
    elif kind == 1:
        other = names[rng.integers(len(names))]
        members[name], members[other] = members[other], members[name]
    elif kind == 2:
        members[f"{name.split('/')[0]}/more"] = members[name]
    elif kind == 3:
        members[name] = members[name][: int(rng.integers(len(members[name]) + 1))]
    elif name.endswith(".json"):
        members[name] = mutated_json(members[name], rng)
    else:
        members[name] = mutated_bytes(members[name], rng)
    return _sealed(members)


def _sealed(members):
    folder = next(iter(members), "").split("/")[0] if all("/" in name for name in members) else ""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "archive"
        with ArchiveWriter(path, folder=folder, compress=False) as archive:
            for name, content in members.items():
                archive.write(name[len(folder) + 1 :] if folder else name, content)
        return path.read_bytes()
