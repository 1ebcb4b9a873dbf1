"""Packed protein chains: one archive of residue types and heavy atoms, many chains after one another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from openmm_cgvae.core.errors import TrainingError
from openmm_cgvae.io.packed import PackedArchive

__all__ = ["N_SLOTS", "Chain", "PackedChains"]

# Heavy atoms of the largest residue: N, CA, C, O and the side chain, in the order of the PDB.
N_SLOTS = 14
OF_CHAINS = ("name", "length", "resolution", "split", "cluster", "representative")
# What every row of a residue array holds.
OF_RESIDUES = {"residue": (), "ca": (3,), "relative": (N_SLOTS - 1, 3), "mask": (2,), "chain_break": ()}
ARRAYS = (*OF_CHAINS, *OF_RESIDUES)
# Kinds of numbers, as ``numpy.dtype.kind`` names them.
KINDS = {
    "name": "U", "length": "iu", "resolution": "f", "split": "U", "cluster": "iu", "representative": "b",
    "residue": "u", "ca": "iu", "relative": "iu", "mask": "u", "chain_break": "b",
}  # fmt: skip
SPLITS = ("train", "validation", "test")
N_TYPES = 20
# Positions are whole numbers of this, in Angstrom.
STEP = 1e-3


@dataclass(frozen=True)
class Chain:
    """Heavy atoms of one protein chain of N residues.

    Parameters
    ----------
    name : str
    residue_types : int array, shape (N,)
        Index into the one-letter codes ``ARNDCQEGHILKMFPSTWYV``.
    atoms : float32 array, shape (N, 14, 3)
        Angstrom; slots N, CA, C, O, CB, ... as in the PDB, zero where there is no atom.
    mask : bool array, shape (N, 14)
        Which atoms are there.
    connected : bool array, shape (N,)
        Whether a peptide bond leads to the residue before.
    """

    name: str
    residue_types: np.ndarray
    atoms: np.ndarray
    mask: np.ndarray
    connected: np.ndarray


class PackedChains(PackedArchive):
    """Chains of a packed archive: ``PackedChains.load(path).subset("train")`` iterates over its `Chain` objects.

    Parameters
    ----------
    arrays : dict of str to array
        As the archive names them; positions in 0.001 Angstrom, C-alpha first and other atoms relative to it.
    chosen : int array, optional
        Numbers of the chains; all if omitted.
    """

    ARRAYS, COUNTED = ARRAYS, "length"
    KIND, WRITER, ERROR = "set of packed chains", "openmm-cgvae train", TrainingError

    def __init__(self, arrays: dict, chosen: np.ndarray | None = None):
        super().__init__(arrays, chosen)
        self._stop = np.cumsum(arrays["length"])

    @staticmethod
    def check(arrays, path):
        """Refuse arrays that do not belong together (`TrainingError`)."""
        _check(arrays, path)

    @classmethod
    def packed(cls, chains, resolutions, splits, clusters, representative) -> "PackedChains":
        """Chains put one after another, each with what `load` finds of it.

        Parameters
        ----------
        chains : sequence of Chain
        resolutions : sequence of float
            Angstrom, NaN where unknown.
        splits : sequence of str
            "train", "validation" or "test".
        clusters : sequence of int
        representative : sequence of bool
            Chains that stand for their cluster in validation, and in what is measured.

        Raises
        ------
        TrainingError
            If there is no chain.
        """
        if not len(chains):
            raise TrainingError("no chain given: one at least is expected")
        columns = zip(*(_packed(chain) for chain in chains), strict=True)
        arrays = dict(zip(OF_RESIDUES, map(np.concatenate, columns), strict=True))
        arrays |= {
            "name": np.array([chain.name for chain in chains]),
            "length": np.array([len(chain.residue_types) for chain in chains], dtype=np.int64),
            "resolution": np.asarray(resolutions, dtype=np.float32),
            "split": np.asarray(splits, dtype="U10"),
            "cluster": np.asarray(clusters, dtype=np.int32),
            "representative": np.asarray(representative, dtype=bool),
        }
        _check(arrays, "packed chains")
        return cls(arrays)

    @classmethod
    def together(cls, parts: "Sequence[PackedChains]") -> "PackedChains":
        """All chains of several archives, splits as they are; clusters of different archives stay apart."""
        arrays = {name: np.concatenate([part._arrays[name] for part in parts]) for name in ARRAYS}
        sizes = [1 + int(part._arrays["cluster"].max(initial=-1)) for part in parts]
        first = np.repeat(np.cumsum([0, *sizes[:-1]]), [part._arrays["length"].size for part in parts])
        return cls(arrays | {"cluster": arrays["cluster"] + first})

    def subset(self, split: str, representative: bool = False, resolution: float | None = None) -> "PackedChains":
        """Chains of a split, with `representative` one a cluster, with `resolution` those of so many Angstrom."""
        a = self._arrays
        keep = a["split"][self.chosen] == split
        if representative:
            keep &= a["representative"][self.chosen]
        if resolution is not None:
            keep &= a["resolution"][self.chosen] <= resolution
        return PackedChains(a, self.chosen[keep])

    @property
    def description(self) -> dict:
        """Hash, numbers of chains and residues, and the names of the structures that training chains are of."""
        train = self.subset("train")
        splits = [int((self._arrays["split"][self.chosen] == name).sum()) for name in SPLITS]
        names = [str(name) for name in train.names]
        clusters = [set(self.subset(split).clusters.tolist()) for split in SPLITS]
        return {
            "sha256": self.sha256,
            "chains_train_validation_test": splits,
            "residues": int(train.lengths.sum()),
            "clusters": len(np.unique(train.clusters)),
            "md_frames": int(train.of_md.sum()),
            "held_out_by": "run" if clusters[0] & (clusters[1] | clusters[2]) else "cluster",
            "trained_on": " ".join(sorted({name.split(":")[0] for name in names})),
        }

    @property
    def names(self) -> np.ndarray:
        """Name of every chain, (chains,)."""
        return self._arrays["name"][self.chosen]

    @property
    def of_md(self) -> np.ndarray:
        """Which chains are frames of molecular dynamics, (chains,) of bool."""
        # They are named after their run, with their number behind a colon.
        return np.char.find(self.names, ":") >= 0

    def __iter__(self) -> Iterator[Chain]:
        return (self[k] for k in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """Residues of every chain, (chains,)."""
        return self._arrays["length"][self.chosen]

    @property
    def clusters(self) -> np.ndarray:
        """Sequence cluster of every chain, (chains,)."""
        return self._arrays["cluster"][self.chosen]

    @property
    def resolutions(self) -> np.ndarray:
        """Resolution of every chain in Angstrom, (chains,), NaN where unknown."""
        return self._arrays["resolution"][self.chosen]

    def __getitem__(self, k: int) -> Chain:
        a, number = self._arrays, int(self.chosen[k])
        rows = slice(int(self._stop[number] - a["length"][number]), int(self._stop[number]))
        ca = a["ca"][rows].astype(np.float64)[:, None]
        mask = np.unpackbits(a["mask"][rows], axis=1)[:, :N_SLOTS].astype(bool)
        relative = a["relative"][rows]
        atoms = np.concatenate([ca + relative[:, :1], ca, ca + relative[:, 1:]], axis=1) * STEP
        atoms = np.where(mask[..., None], atoms, 0.0).astype(np.float32)
        connected = ~a["chain_break"][rows]
        # Whatever the archive says: before it in a batch is another chain.
        connected[0] = False
        return Chain(str(a["name"][number]), a["residue"][rows].astype(np.int64), atoms, mask, connected)


def _packed(chain):
    """The `OF_RESIDUES` arrays of a chain."""
    atoms = np.asarray(chain.atoms, dtype=np.float64)
    if not chain.mask[:, 1].all():
        raise TrainingError(f"{chain.name}: residue {int(np.argmin(chain.mask[:, 1])) + 1} has no C-alpha")
    ca = atoms[:, 1] - atoms[:, 1].mean(0)
    others = np.delete(np.where(chain.mask[..., None], atoms - atoms[:, 1:2], 0.0), 1, axis=1)
    if not (np.isfinite(ca).all() and np.abs(others).max() < np.iinfo(np.int16).max * STEP):
        raise TrainingError(f"{chain.name}: atoms of one residue are 3 nm apart or more: give whole molecules, in nm")
    whole = (np.round(part / STEP) for part in (ca, others))
    ca, others = (part.astype(kind) for part, kind in zip(whole, (np.int32, np.int16), strict=True))
    bits = np.packbits(np.pad(chain.mask, [(0, 0), (0, 16 - N_SLOTS)]), axis=1)
    return np.asarray(chain.residue_types, dtype=np.uint8), ca, others, bits, ~np.asarray(chain.connected, dtype=bool)


def _check(arrays, source):
    """Refuse arrays that do not belong together (`TrainingError`)."""
    for name, kinds in KINDS.items():
        if arrays[name].dtype.kind not in kinds:
            raise TrainingError(f"{source}: {name} is of {arrays[name].dtype}")
    n_chains, total = arrays["length"].size, int(arrays["length"].sum())
    for name in OF_CHAINS:
        if arrays[name].shape != (n_chains,):
            raise TrainingError(
                f"{source}: {name} has shape {arrays[name].shape}, ({n_chains},) is expected, as length"
            )
    if n_chains and arrays["length"].min() < 1:
        raise TrainingError(f"{source}: chain {arrays['name'][np.argmin(arrays['length'])]} has no residue")
    for name, row in OF_RESIDUES.items():
        if arrays[name].shape != (total, *row):
            raise TrainingError(
                f"{source}: {name} has shape {arrays[name].shape}, {(total, *row)} is expected for {total} residues"
            )
    if total and arrays["residue"].max() >= N_TYPES:
        raise TrainingError(f"{source}: residue type {arrays['residue'].max()} found, 0 to {N_TYPES - 1} are expected")
    unknown = set(arrays["split"].tolist()) - set(SPLITS)
    if unknown:
        raise TrainingError(f"{source}: split {sorted(unknown)[0]!r} found, one of {', '.join(SPLITS)} is expected")
