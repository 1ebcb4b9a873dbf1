"""Sampled conformers and the minima that they fall to, of many molecules in one archive: what a refinement learns from.

An archive (``.npz``, no pickle) holds M molecules one after another. Of molecules, arrays of M: ``smiles`` (text; atoms
are in the order of ``AddHs(MolFromSmiles(smiles))``), ``split`` (text, "train" or "validation"), ``atoms`` (int32, n)
and ``samples`` (int32, K). Of their parts, concatenated: ``start`` (sum of K n, 3), the samples as a model of torsions
assembles them, and ``end``, their MMFF94s minima, int32 in 0.001 Angstrom, each centred; ``energy`` (sum of K, float64)
of the minima, kJ/mol.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.io.packed import PackedArchive

__all__ = ["PackedRelaxations", "Relaxation"]

# Positions are whole numbers of this, in Angstrom.
STEP = 1e-3


@dataclass(frozen=True)
class Relaxation:
    """Samples of one molecule of n atoms, hydrogens included, and their minima.

    Parameters
    ----------
    smiles, split : str
        See the module.
    start, end : float32 array, shape (K, n, 3)
        Angstrom.
    energies : float64 array, shape (K,)
        Of the minima, kJ/mol.
    """

    smiles: str
    split: str
    start: np.ndarray
    end: np.ndarray
    energies: np.ndarray


class PackedRelaxations(PackedArchive):
    """Relaxations of an archive: ``PackedRelaxations.load(path).subset("train")`` iterates over `Relaxation` objects.

    Parameters
    ----------
    arrays : dict of str to array
        As the archive names them (see the module).
    chosen : int array, optional
        Numbers of the molecules; all if omitted.
    """

    ARRAYS = ("smiles", "split", "atoms", "samples", "start", "end", "energy")
    COUNTED = "smiles"
    KIND, WRITER = "set of relaxed samples", "openmm-cgvae sample-conformers --relaxations"

    @staticmethod
    def check(arrays: dict[str, np.ndarray], path: Any) -> None:
        """Refuse arrays that do not belong together (`DataError`)."""
        count = arrays["smiles"].size
        if not count:
            raise DataError(f"{path}: no molecule found, one at least is expected")
        for name in ("smiles", "split", "atoms", "samples"):
            if arrays[name].shape != (count,):
                raise DataError(f"{path}: {name} has shape {arrays[name].shape}, ({count},) is expected, as smiles")
        k, n = (arrays[name].astype(np.int64) for name in ("samples", "atoms"))
        if min(k.min(), n.min()) < 1:
            raise DataError(f"{path}: a molecule without atoms or samples found: each has one at least")
        shapes = {"start": (int((k * n).sum()), 3), "end": (int((k * n).sum()), 3), "energy": (int(k.sum()),)}
        for name, expected in shapes.items():
            if arrays[name].shape != expected:
                raise DataError(f"{path}: {name} has shape {arrays[name].shape}, {expected} is expected")
        if not np.isfinite(arrays["energy"]).all():
            raise DataError(f"{path}: an energy is not finite")

    @classmethod
    def packed(cls, relaxations: Iterable[Relaxation]) -> "PackedRelaxations":
        """Relaxations put one after another; conformers are centred and rounded to 0.001 Angstrom."""
        found = list(relaxations)
        arrays = {
            "smiles": np.array([r.smiles for r in found], dtype=np.str_),
            "split": np.array([r.split for r in found], dtype=np.str_),
            "atoms": np.array([r.start.shape[1] for r in found], dtype=np.int32),
            "samples": np.array([len(r.start) for r in found], dtype=np.int32),
            "start": np.concatenate([_whole(r.start) for r in found]),
            "end": np.concatenate([_whole(r.end) for r in found]),
            "energy": np.concatenate([r.energies for r in found]).astype(np.float64),
        }
        cls.check(arrays, "packed relaxations")
        return cls(arrays)

    def subset(self, split: str) -> "PackedRelaxations":
        """Molecules of a split."""
        return type(self)(self._arrays, self.chosen[self._arrays["split"][self.chosen] == split])

    def __iter__(self) -> Iterator[Relaxation]:
        return (self[k] for k in range(len(self)))

    @cached_property
    def _stops(self):
        """Where each molecule's samples, and their atoms, end."""
        k, n = (self._arrays[name].astype(np.int64) for name in ("samples", "atoms"))
        return np.cumsum(k), np.cumsum(k * n)

    def __getitem__(self, k: int) -> Relaxation:
        number = int(self.chosen[k])
        n, count = (int(self._arrays[name][number]) for name in ("atoms", "samples"))
        samples, rows = (int(stops[number]) for stops in self._stops)
        start, end = (
            (self._arrays[name][rows - count * n : rows].reshape(count, n, 3) * STEP).astype(np.float32)
            for name in ("start", "end")
        )
        texts = (str(self._arrays[name][number]) for name in ("smiles", "split"))
        return Relaxation(*texts, start, end, self._arrays["energy"][samples - count : samples])


def _whole(positions):
    """Centred conformers (K, n, 3) as rows (K n, 3) of whole numbers."""
    positions = np.asarray(positions, dtype=np.float64)
    return np.round((positions - positions.mean(1, keepdims=True)) / STEP).astype(np.int32).reshape(-1, 3)
