"""Peers that build proteins from C-alpha beads: what they are given, how they are called, what they return.

PULCHRA (PyPI: ``pypulchra``, its C++ code), FASPR (``pyfaspr``) and CGBack (``cgback``) are no dependency of this
package. Each is called as a program of its own, on one thread, and what it writes stays in a folder, so that measuring
again costs nothing.
"""

import json
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from openmm_cgvae.chemistry.aminoacids.residues import HEAVY_ATOMS, N_SLOTS, RESIDUE_NAMES

__all__ = ["PEERS", "build", "read_pdb", "write_pdb"]

# Command, and what it is given: slots of the crystal, or what another peer built. FASPR packs side chains on backbones;
# on that of the crystal, which is no answer to C-alpha beads, it shows what packing alone reaches.
CA, BACKBONE = slice(1, 2), slice(0, 4)
PEERS = {
    "pulchra": ("{program} -i {input} -o {output}", CA),
    "pulchra+faspr": ("{program} -i {input} -o {output}", "pulchra"),
    "cgback": ("{program} {input} -o {output} --seed 1", CA),
    "crystal backbone+faspr": ("{program} -i {input} -o {output}", BACKBONE),
}


def write_pdb(path, types, atoms, mask):
    """Write residues 1 to N of one chain.

    Parameters
    ----------
    path : str or Path
    types : numpy.ndarray of int, shape (N,)
    atoms : numpy.ndarray, shape (N, 14, 3)
        Angstrom.
    mask : numpy.ndarray of bool, shape (N, 14)
        Which atoms to write.
    """
    lines, serial = [], 0
    for i, kind in enumerate(types):
        for slot, name in enumerate(HEAVY_ATOMS[kind]):
            if mask[i, slot]:
                serial += 1
                x, y, z = atoms[i, slot]
                lines.append(
                    f"ATOM  {serial:5d} {name:^4s} {RESIDUE_NAMES[kind]} A{i + 1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
                    f"  1.00  0.00           {name[0]}\n"
                )
    Path(path).write_text("".join(lines) + "TER\nEND\n")


def read_pdb(path, types):
    """Read the heavy atoms of a chain written by a peer, by residue order and atom name.

    Parameters
    ----------
    path : str or Path
    types : numpy.ndarray of int, shape (N,)

    Returns
    -------
    atoms : numpy.ndarray, shape (N, 14, 3)
        Angstrom; 0 where the file has no such atom.
    mask : numpy.ndarray of bool, shape (N, 14)

    Raises
    ------
    ValueError
        If the file has another number of residues.
    """
    atoms, mask = np.zeros((len(types), N_SLOTS, 3)), np.zeros((len(types), N_SLOTS), dtype=bool)
    residue, last = -1, None
    for line in Path(path).read_text().splitlines():
        if line[:6] not in ("ATOM  ", "HETATM"):
            continue
        if line[21:27] != last:
            residue, last = residue + 1, line[21:27]
        name = line[12:16].strip()
        if residue < len(types) and name in HEAVY_ATOMS[types[residue]]:
            slot = HEAVY_ATOMS[types[residue]].index(name)
            atoms[residue, slot] = [float(line[k : k + 8]) for k in (30, 38, 46)]
            mask[residue, slot] = True
    if residue + 1 != len(types):
        raise ValueError(f"{path}: {residue + 1} residues found, {len(types)} expected")
    return atoms, mask


def build(peer, program, chain, folder):
    """Let a peer build a chain from part of its atoms, unless the folder holds the result.

    Parameters
    ----------
    peer : str
        One of `PEERS`.
    program : str
        The command to run.
    chain : Chain
    folder : Path
        Results are ``folder/peer/NAME.pdb`` and the CPU seconds beside it.

    Returns
    -------
    path : Path
    seconds : float
        CPU seconds, start of the program and what it was given by another peer included.
    """
    path = Path(folder) / peer / f"{chain.name}.pdb"
    record = path.with_suffix(".json")
    if not (path.exists() and record.exists()):
        command, source = PEERS[peer]
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            given, made = Path(scratch) / "chain.pdb", Path(scratch) / "made.pdb"
            earlier = 0.0
            if isinstance(source, str):
                first = path.parent.parent / source / path.name
                shutil.copy(first, given)
                earlier = json.loads(first.with_suffix(".json").read_text())["cpu_seconds"]
            else:
                given_atoms = np.zeros_like(chain.mask)
                given_atoms[:, source] = chain.mask[:, source]
                write_pdb(given, chain.residue_types, chain.atoms, given_atoms)
            seconds = earlier + _run(command.format(program=program, input=given, output=made))
            shutil.copy(made, path)
        record.write_text(json.dumps({"cpu_seconds": seconds}))
    return path, json.loads(record.read_text())["cpu_seconds"]


def _run(command):
    """CPU seconds of a command on one thread; its words appear only if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command.split(), env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed: {(done.stderr or done.stdout)[-400:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
