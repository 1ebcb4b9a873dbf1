"""A prepared dataset: positions, runs, and the index arrays of the molecule, in one ``.npz`` file."""

import hashlib
import json
import logging
from dataclasses import dataclass

import numpy as np

from openmm_cgvae.core.archive import read_arrays, write_arrays
from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.output import check_output, complete_output
from openmm_cgvae.core.reading import parsed_json, reading
from openmm_cgvae.core.schema import anything, either, entries, nothing, number, record
from openmm_cgvae.molecule.description import check_mapping
from openmm_cgvae.molecule.spec import MoleculeSpec

__all__ = ["Dataset", "split_runs"]

logger = logging.getLogger(__name__)

# The last version without checksums is read too.
FORMAT, UNSEALED = "openmm_cgvae dataset 4", "openmm_cgvae dataset 3"
# Fewer runs are cut into this many contiguous blocks in all, which stand in for runs.
MIN_RUNS = 5
N_BLOCKS = 20


@dataclass(frozen=True)
class Dataset:
    """All-atom frames of one molecule, ready to train on with torch and numpy alone.

    Parameters
    ----------
    positions : numpy.ndarray, shape (frames, n, 3)
        float32, nm.
    runs : int array, shape (frames,)
        Independent run of every frame.
    spec : MoleculeSpec
    description : dict
        ``mapping`` (`CGMapping.to_dict`), ``potential`` (`CGPotential.to_dict` or None), ``temperature`` (K).
    """

    positions: np.ndarray
    runs: np.ndarray
    spec: MoleculeSpec
    description: dict

    def __post_init__(self):
        if len(self.positions) < 2:
            raise DataError(f"{len(self.positions)} frames given: a dataset needs at least 2")
        finite = np.isfinite(self.positions).all(axis=(1, 2))
        if not finite.all():
            raise DataError(f"positions of frame {int(np.argmin(finite))} hold NaN or infinity: leave such frames out")

    @property
    def sha256(self):
        """Hash of positions and runs."""
        digest = hashlib.sha256(np.ascontiguousarray(self.positions))
        digest.update(np.ascontiguousarray(self.runs))
        return digest.hexdigest()

    def save(self, path):
        """Write the dataset; `path` ends in ``.npz``."""
        arrays = {"format": np.array(FORMAT), "positions": self.positions, "runs": self.runs}
        arrays["description"] = np.array(json.dumps(self.description))
        with complete_output(check_output(path, overwrite=True)) as temporary:
            write_arrays(temporary, arrays | self.spec.to_arrays())

    @classmethod
    def load(cls, path):
        """Read a dataset that `save` wrote; nothing is unpickled.

        Raises
        ------
        DataError
            If the file is missing, not a dataset, damaged, or its arrays do not belong together.
        """
        with reading(path, "dataset", "'openmm-cgvae prepare'", DataError):
            arrays, sealed = read_arrays(path)
            if not sealed and str(arrays["format"]) != UNSEALED:
                raise DataError(
                    f"{path} is a {arrays['format']} without checksums, {FORMAT!r} is expected: prepare it again"
                )
            if str(arrays["format"]) not in (FORMAT, UNSEALED):
                raise DataError(f"{path} is a {arrays['format']}, {FORMAT!r} is expected: prepare it again")
            if not sealed:
                logger.info("%s is of an older version, without checksums: damage to it may go unnoticed", path)
            description = parsed_json(str(arrays["description"]).encode())
            _check(arrays, description)
            return cls(arrays["positions"], arrays["runs"], MoleculeSpec.from_arrays(arrays), description)


DESCRIPTION = record(
    {"potential": either(nothing, entries(anything)), "temperature": either(nothing, number(0))},
    ("mapping", "potential", "temperature"),
)


def _check(arrays, description):
    """Refuse parts of a dataset that do not belong together."""
    DESCRIPTION(description, "description")
    check_mapping(description["mapping"])
    mapping, positions, runs = description["mapping"], arrays["positions"], arrays["runs"]
    n_atoms = len(mapping["topology"]["atoms"])
    if positions.dtype != np.float32 or positions.ndim != 3 or positions.shape[1:] != (n_atoms, 3):
        raise DataError(f"positions of shape {positions.shape} ({positions.dtype}) for {n_atoms} atoms")
    if runs.shape != positions.shape[:1] or runs.dtype.kind not in "iu" or (runs < 0).any():
        raise DataError(f"runs of shape {runs.shape} ({runs.dtype}) for {len(positions)} frames")
    # Row by row, beads of the description are those of the arrays that training takes.
    projection, weights = np.zeros((len(mapping["beads"]), n_atoms)), np.array(mapping["weights"], dtype=float)
    for row, bead in zip(projection, mapping["beads"], strict=True):
        row[bead] = weights[bead] / weights[bead].sum()
    given = arrays["projection"]
    if given.shape != projection.shape or not (np.abs(given - projection) <= 1e-6).all():
        raise DataError("the mapping and the projection are of different beads")


def split_runs(runs, validation_fraction, test_fraction, seed):
    """Split frames into training, validation and test by whole runs, never by shuffled frames.

    Fewer than 5 runs are cut into some 20 contiguous blocks, which are then split instead.

    Parameters
    ----------
    runs : int array, shape (frames,)
    validation_fraction, test_fraction : float
        Part of the runs held out; at least one run each (none for a test fraction of 0).
    seed : int

    Returns
    -------
    train, validation, test : int arrays
        Frame indices.

    Raises
    ------
    DataError
        If nothing is left to train on.
    """
    if len(np.unique(runs)) < MIN_RUNS:
        runs = _blocks(np.unique(runs, return_inverse=True)[1])
    names = np.unique(runs)
    order = np.random.Generator(np.random.Philox(seed)).permutation(names)
    n_test = max(1, round(test_fraction * len(names))) if test_fraction > 0 else 0
    n_validation = max(1, round(validation_fraction * len(names)))
    if n_test + n_validation >= len(names):
        raise DataError(f"{len(names)} runs given, {n_test + n_validation} to be held out: give more runs or frames")
    parts = order[n_test + n_validation :], order[n_test : n_test + n_validation], order[:n_test]
    return tuple(np.flatnonzero(np.isin(runs, part)) for part in parts)


def _blocks(runs):
    """Number the contiguous blocks that runs numbered from 0 are cut into, shape (frames,)."""
    sizes = np.bincount(runs)
    each = -(-N_BLOCKS // len(sizes))
    place = np.zeros(len(runs), dtype=np.int64)
    for run, size in enumerate(sizes):
        place[runs == run] = np.arange(size)
    return runs * each + place * each // sizes[runs]
