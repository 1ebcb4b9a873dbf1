"""Archives of many molecules whose arrays are put one after another: what chains and conformer ensembles share."""

import hashlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from openmm_cgvae.core.archive import read_arrays, write_arrays
from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.output import check_output, complete_output
from openmm_cgvae.core.reading import reading

__all__ = ["PackedArchive"]


class PackedArchive:
    """Base of packed archives: the arrays, and the numbers of the molecules that are chosen.

    A subclass names its `ARRAYS`, of which `COUNTED` has one entry a molecule, and gives `check`.

    Parameters
    ----------
    arrays : dict of str to array
        As the archive names them.
    chosen : int array, optional
        Numbers of the molecules; all if omitted.
    """

    ARRAYS: ClassVar[tuple[str, ...]]
    COUNTED: ClassVar[str]
    # What it is and which command writes it, for messages, and the error that they are raised as.
    KIND: ClassVar[str]
    WRITER: ClassVar[str]
    ERROR: ClassVar[type[Exception]] = DataError

    def __init__(self, arrays: dict[str, np.ndarray], chosen: np.ndarray | None = None):
        self._arrays = arrays
        self.chosen = np.arange(len(arrays[self.COUNTED])) if chosen is None else np.asarray(chosen)

    @staticmethod
    def check(arrays: dict[str, np.ndarray], path: Any) -> None:
        """Refuse arrays that do not belong together."""
        raise NotImplementedError

    @classmethod
    def load(cls, path: str | Path) -> Any:
        """Read an archive; `ERROR` if it is missing, another file, or its arrays do not belong together."""
        with reading(path, cls.KIND, cls.WRITER, cls.ERROR):
            found = read_arrays(path)[0]
            arrays = {name: found[name] for name in cls.ARRAYS}
            cls.check(arrays, path)
        return cls(arrays)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write all molecules, chosen or not; `path` ends in ``.npz``. The same arrays give the same bytes."""
        with complete_output(check_output(path, overwrite)) as temporary:
            write_arrays(temporary, self._arrays)

    @property
    def sha256(self) -> str:
        """Hash of all molecules, chosen or not."""
        digest = hashlib.sha256()
        for name in self.ARRAYS:
            digest.update(np.ascontiguousarray(self._arrays[name]))
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.chosen)
