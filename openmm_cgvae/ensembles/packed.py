"""Conformer ensembles of many molecules in one archive: what they are trained on and compared with.

An archive (``.npz``, no pickle) holds M molecules one after another. Of molecules, arrays of M:

======================  =======  =====================================================================================
``smiles``              text     canonical isomeric SMILES; atoms are in the order of ``AddHs(MolFromSmiles(smiles))``
``split``               text     "train", "validation" or "test", by Bemis-Murcko scaffold (see ``splits``)
``source``              text     the file that the molecule is from
``method``              text     "mmff94s" or "gfn2": what minimised the conformers and gave their energies
``atoms``               int32    n, hydrogens included
``conformers``          int32    K, reference conformers, the lowest energy first
``approximate``         int32    A, raw ETKDGv3 conformers, not minimised, in no relation to the order of the others
======================  =======  =====================================================================================

Of their parts, concatenated: ``element`` (sum of n, uint8, atomic numbers); ``positions`` (sum of K n, 3) and
``approximate_positions`` (sum of A n, 3), int32 in 0.001 Angstrom, each conformer centred; ``energy`` (sum of K,
float64, kJ/mol) and ``weight`` (sum of K, float32, Boltzmann weights at 298.15 K, their sum 1 a molecule).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.io.packed import PackedArchive

__all__ = ["METHODS", "SPLITS", "Ensemble", "PackedEnsembles", "molecule_with_conformers", "with_conformers"]

SPLITS = ("train", "validation", "test")
METHODS = ("mmff94s", "gfn2")
TEXTS = ("smiles", "split", "source", "method")
COUNTS = ("atoms", "conformers", "approximate")
# What every row holds, and of what there is a row.
PARTS = {"element": (), "positions": (3,), "approximate_positions": (3,), "energy": (), "weight": ()}
ARRAYS = (*TEXTS, *COUNTS, *PARTS)
# Positions are whole numbers of this, in Angstrom.
STEP = 1e-3
# Of a molecule's weights from 1, in float32.
WEIGHT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Ensemble:
    """Conformers of one molecule of n atoms, hydrogens included.

    Parameters
    ----------
    smiles : str
        Atoms are in the order of ``AddHs(MolFromSmiles(smiles))``.
    split, source, method : str
        See the module.
    elements : uint8 array, shape (n,)
        Atomic numbers.
    positions : float32 array, shape (K, n, 3)
        Reference conformers in Angstrom, the lowest energy first.
    energies : float64 array, shape (K,)
        kJ/mol.
    weights : float32 array, shape (K,)
        Boltzmann weights at 298.15 K.
    approximate : float32 array, shape (A, n, 3)
        Raw ETKDGv3 conformers in Angstrom.
    """

    smiles: str
    split: str
    source: str
    method: str
    elements: np.ndarray
    positions: np.ndarray
    energies: np.ndarray
    weights: np.ndarray
    approximate: np.ndarray

    def mol(self) -> Any:
        """The molecule with its reference conformers, an ``rdkit.Chem.Mol`` with hydrogens.

        Raises
        ------
        DataError
            If RDKit reads other atoms from the SMILES than are stored.
        """
        return molecule_with_conformers(self.smiles, self.positions, self.elements)


def molecule_with_conformers(smiles: str, positions: np.ndarray, elements: np.ndarray | None = None) -> Any:
    """Read a SMILES, add hydrogens, and give the molecule conformers.

    Parameters
    ----------
    smiles : str
    positions : array, shape (K, n, 3)
        Angstrom.
    elements : int array, shape (n,), optional
        Atomic numbers to check the order of atoms by.

    Returns
    -------
    rdkit.Chem.Mol

    Raises
    ------
    DataError
        If the SMILES cannot be read, or has other atoms.
    """
    from rdkit import Chem

    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise DataError(f"SMILES {smiles} of an ensemble cannot be read: the file is damaged, or of another RDKit")
    mol = Chem.AddHs(mol)
    own = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    if len(own) != positions.shape[1] or (elements is not None and own != list(elements)):
        raise DataError(f"SMILES {smiles} of an ensemble has other atoms than its conformers: sample it again")
    return with_conformers(mol, positions)


def with_conformers(mol: Any, positions: np.ndarray) -> Any:
    """Return a copy of a molecule whose conformers are these alone: positions (K, n, 3) in Angstrom."""
    from rdkit import Chem

    copy = Chem.Mol(mol)
    copy.RemoveAllConformers()
    for places in np.asarray(positions, dtype=np.float64):
        conformer = Chem.Conformer(len(places))
        conformer.SetPositions(np.ascontiguousarray(places))
        copy.AddConformer(conformer, assignId=True)
    return copy


class PackedEnsembles(PackedArchive):
    """Ensembles of an archive: ``PackedEnsembles.load(path).subset("train")`` iterates over its `Ensemble` objects.

    Parameters
    ----------
    arrays : dict of str to array
        As the archive names them (see the module).
    chosen : int array, optional
        Numbers of the molecules; all if omitted.
    """

    ARRAYS, COUNTED = ARRAYS, "smiles"
    KIND, WRITER = "set of conformer ensembles", "openmm-cgvae sample-conformers"

    @staticmethod
    def check(arrays: dict[str, np.ndarray], path: Any) -> None:
        """Refuse arrays that do not belong together (`DataError`)."""
        _check(arrays, path)

    @classmethod
    def packed(cls, ensembles: Iterable[Ensemble]) -> "PackedEnsembles":
        """Ensembles put one after another; conformers are centred and rounded to 0.001 Angstrom."""
        ensembles = list(ensembles)
        arrays = {name: np.array([getattr(e, name) for e in ensembles], dtype=np.str_) for name in TEXTS}
        sizes = [(len(e.elements), len(e.positions), len(e.approximate)) for e in ensembles]
        arrays |= dict(zip(COUNTS, np.array(sizes, dtype=np.int32).reshape(-1, 3).T, strict=True))
        arrays |= {
            "element": _joined([e.elements for e in ensembles], np.uint8),
            "positions": _joined([_whole(e.positions) for e in ensembles], np.int32, 3),
            "approximate_positions": _joined([_whole(e.approximate) for e in ensembles], np.int32, 3),
            "energy": _joined([e.energies for e in ensembles], np.float64),
            "weight": _joined([e.weights for e in ensembles], np.float32),
        }
        _check(arrays, "packed ensembles")
        return cls(arrays)

    def subset(self, split: str | None = None, source: str | None = None) -> "PackedEnsembles":
        """Molecules of a split, of a source, or of both."""
        keep = np.ones(len(self.chosen), dtype=bool)
        for name, wanted in (("split", split), ("source", source)):
            if wanted is not None:
                keep &= self._arrays[name][self.chosen] == wanted
        return PackedEnsembles(self._arrays, self.chosen[keep])

    @property
    def smiles(self) -> np.ndarray:
        """SMILES of every molecule, (molecules,)."""
        return self._arrays["smiles"][self.chosen]

    @property
    def n_atoms(self) -> np.ndarray:
        """Atoms of every molecule, hydrogens included, (molecules,)."""
        return self._arrays["atoms"][self.chosen]

    @property
    def n_conformers(self) -> np.ndarray:
        """Reference conformers of every molecule, (molecules,)."""
        return self._arrays["conformers"][self.chosen]

    def __iter__(self) -> Iterator[Ensemble]:
        return (self[k] for k in range(len(self)))

    @cached_property
    def _stops(self):
        """Where each molecule's rows end, by what there is a row of."""
        n, k, a = (self._arrays[name].astype(np.int64) for name in COUNTS)
        return {name: np.cumsum(rows) for name, rows in _rows(n, k, a).items()}

    def _part(self, name, number):
        stop = self._stops[name]
        return self._arrays[name][slice(int(stop[number - 1]) if number else 0, int(stop[number]))]

    def __getitem__(self, k: int) -> Ensemble:
        number = int(self.chosen[k])
        n = int(self._arrays["atoms"][number])
        places = (self._part(name, number).reshape(-1, n, 3) for name in ("positions", "approximate_positions"))
        positions, approximate = ((whole * STEP).astype(np.float32) for whole in places)
        texts = {name: str(self._arrays[name][number]) for name in TEXTS}
        return Ensemble(
            **texts,
            elements=self._part("element", number),
            positions=positions,
            energies=self._part("energy", number),
            weights=self._part("weight", number),
            approximate=approximate,
        )


def _whole(positions):
    """Centred conformers (K, n, 3) as rows (K n, 3) of whole numbers."""
    positions = np.asarray(positions, dtype=np.float64)
    if positions.ndim != 3 or not np.isfinite(positions).all():
        raise DataError(f"positions of shape {positions.shape} given: (conformers, atoms, 3), finite, are expected")
    return np.round((positions - positions.mean(1, keepdims=True)) / STEP).astype(np.int32).reshape(-1, 3)


def _joined(parts, kind, *row):
    rows = [np.asarray(part, dtype=kind).reshape(-1, *row) for part in parts]
    return np.concatenate(rows or [np.empty((0, *row), dtype=kind)])


def _rows(n, k, a):
    """Rows of every part that a molecule has."""
    return {"element": n, "positions": k * n, "approximate_positions": a * n, "energy": k, "weight": k}


def _check(arrays, source):
    """Refuse arrays that do not belong together (`DataError`)."""
    for name in ARRAYS:
        if arrays[name].dtype.kind not in ("U" if name in TEXTS else "f" if name in ("energy", "weight") else "iu"):
            raise DataError(f"{source}: {name} is of {arrays[name].dtype}")
    count = arrays["smiles"].size
    if not count:
        raise DataError(f"{source}: no molecule found, one at least is expected")
    for name in (*TEXTS, *COUNTS):
        if arrays[name].shape != (count,):
            raise DataError(f"{source}: {name} has shape {arrays[name].shape}, ({count},) is expected, as smiles")
    n, k, a = (arrays[name].astype(np.int64) for name in COUNTS)
    if n.min() < 1 or k.min() < 1 or a.min() < 0:
        raise DataError(f"{source}: a molecule without atoms or conformers found: each has one at least")
    for name, rows in _rows(n, k, a).items():
        expected = (int(rows.sum()), *PARTS[name])
        if arrays[name].shape != expected:
            raise DataError(f"{source}: {name} has shape {arrays[name].shape}, {expected} is expected")
    for name, known in (("split", SPLITS), ("method", METHODS)):
        unknown = set(arrays[name].tolist()) - set(known)
        if unknown:
            raise DataError(f"{source}: {name} {sorted(unknown)[0]!r} found, one of {', '.join(known)} is expected")
    totals = np.add.reduceat(arrays["weight"].astype(np.float64), np.cumsum(k) - k)
    if not (np.isfinite(arrays["energy"]).all() and np.abs(totals - 1).max() < WEIGHT_TOLERANCE):
        raise DataError(f"{source}: weights of a molecule do not add up to 1, or an energy is not finite")
