"""Reader of packed protein chains: one archive of residue types and heavy atoms, many chains after one another."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmm_cgvae.core.errors import TrainingError

__all__ = ["N_SLOTS", "Chain", "PackedChains"]

# Heavy atoms of the largest residue: N, CA, C, O and the side chain, in the order of the PDB.
N_SLOTS = 14
ARRAYS = ("name", "length", "resolution", "split", "cluster", "representative", "residue", "ca", "relative", "mask",
          "chain_break")  # fmt: skip


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


class PackedChains:
    """Chains of a packed archive: ``PackedChains.load(path).subset("train")`` iterates over its `Chain` objects.

    Parameters
    ----------
    arrays : dict of str to array
        As the archive names them; positions in 0.001 Angstrom, C-alpha first and other atoms relative to it.
    chosen : int array, optional
        Numbers of the chains; all if omitted.
    """

    def __init__(self, arrays: dict, chosen: np.ndarray | None = None):
        self._arrays = arrays
        self._stop = np.cumsum(arrays["length"])
        self.chosen = np.arange(len(arrays["length"])) if chosen is None else np.asarray(chosen)

    @classmethod
    def load(cls, path: str | Path) -> "PackedChains":
        """Read an archive.

        Raises
        ------
        TrainingError
            If the file is missing, not such an archive, or its arrays do not belong together.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in ARRAYS}
        except FileNotFoundError as error:
            raise TrainingError(f"packed chains {path} do not exist") from error
        except (KeyError, ValueError, OSError, EOFError) as error:
            raise TrainingError(f"{path} is not an archive of packed chains ({', '.join(ARRAYS)})") from error
        total = int(arrays["length"].sum())
        for name in ("residue", "ca", "relative", "mask", "chain_break"):
            if len(arrays[name]) != total:
                raise TrainingError(f"{path}: {name} has {len(arrays[name])} rows, its chains have {total} residues")
        return cls(arrays)

    def subset(self, split: str, representative: bool = False, resolution: float | None = None) -> "PackedChains":
        """Chains of a split, with `representative` one a cluster, with `resolution` (Angstrom) those at least so good."""
        a = self._arrays
        keep = a["split"][self.chosen] == split
        if representative:
            keep &= a["representative"][self.chosen]
        if resolution is not None:
            keep &= a["resolution"][self.chosen] <= resolution
        return PackedChains(a, self.chosen[keep])

    def __len__(self) -> int:
        return len(self.chosen)

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
        atoms = np.concatenate([ca + relative[:, :1], ca, ca + relative[:, 1:]], axis=1) * 1e-3
        atoms = np.where(mask[..., None], atoms, 0.0).astype(np.float32)
        return Chain(str(a["name"][number]), a["residue"][rows].astype(np.int64), atoms, mask, ~a["chain_break"][rows])
