"""From bead positions to all-atom samples."""

from __future__ import annotations

import copy
import logging
import time
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.backmapping.order import BeadOrder
from openmm_cgvae.core.checks import checked_count, checked_frames, checked_seed
from openmm_cgvae.core.device import usable_device
from openmm_cgvae.core.errors import ModelFileError, PositionsError, SettingsError
from openmm_cgvae.core.fingerprint import fingerprint, weights_fingerprint
from openmm_cgvae.core.noise import correlated_noise
from openmm_cgvae.core.parallel import in_even_slices
from openmm_cgvae.core.periodic import as_box_vectors, check_fits, make_whole, spanning_tree
from openmm_cgvae.core.representation import html_table
from openmm_cgvae.core.scripted import pickled_module, unpickled_module
from openmm_cgvae.core.units import as_positions_nm
from openmm_cgvae.molecule.mapping import CGMapping

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike
    from openmm.app import Topology

    from openmm_cgvae.cg.potential import CGPotential
    from openmm_cgvae.core.types import Positions, SomeTopology
    from openmm_cgvae.io.modelfile import ModelFile

__all__ = ["Backmapper", "as_sampler", "bead_spread"]

logger = logging.getLogger(__name__)

# Ratio of the bead spread to its training mean. Angstrom given as nm are a factor of 10, caught by the first limit.
WARN_FACTOR = 5.0
REFUSE_FACTOR = 50.0
# Upper limit of bond lengths, for the largest possible distance of an atom from its bead.
BOND_NM = 0.2
# Held-out figures that a notebook shows.
HELD_OUT = {
    "valid_ratio_all": "valid bond graphs",
    "chirality_ratio": "right chirality",
    "recon_rmsd_heavy_angstrom": "reconstruction, A",
    "torsion_js_backbone": "backbone torsions, nats", "torsion_js_backbone_floor": "their floor, nats",
}  # fmt: skip
PRECISIONS = {"single": np.float32, "double": np.float64}
# Structures decoded per call; larger batches make the bounds cheaper per frame (see benchmarks/pipeline.py).
CHUNK_SIZES = {"cpu": 256, "cuda": 8192}
# Seconds of sampling after which TorchScript may optimise the model, which takes 2 to 3 s and gains 5 to 8 % on a CPU.
OPTIMIZED_AFTER = 20.0


def as_sampler(given: Any) -> Any:
    """Return a sampler of what a user gives for one: a sampler, or what ``Backmapper.load`` takes.

    Raises
    ------
    SettingsError
        If it is neither.
    ModelFileError
        If there is no such model.
    """
    if isinstance(given, str | PathLike):
        return Backmapper.load(given)
    if not hasattr(given, "sample") or not hasattr(given, "cg_topology"):
        raise SettingsError(
            f"a {type(given).__name__} given as backmapper: a Backmapper, or the name or file of a model, is expected"
        )
    return given


def bead_spread(beads: np.ndarray) -> np.ndarray:
    """Root mean square distance of the beads from their centre, (..., N, 3) to (...)."""
    centred = beads - beads.mean(-2, keepdims=True)
    return np.sqrt((centred**2).sum(-1).mean(-1))


class Backmapper:
    """Samples all-atom structures for bead positions.

    ``Backmapper.load("alanine-dipeptide-3").sample(cg_positions, seed=1)`` gives an array (frames, samples, atoms, 3)
    in nm, each of which projects back to its beads exactly.

    Parameters
    ----------
    model : ModelFile
    device : str or torch.device
    precision : {"single", "double"}
        Of the arithmetic and of what is returned.
    chunk_size : int, optional
        Structures a call of the model (256, on a GPU 8192); it changes speed and memory, and the last digit of the
        result. The model itself decodes fewer at once if it is large.
    mapping : CGMapping, optional
        In place of the file's.

    Attributes
    ----------
    mapping : CGMapping
    metadata : dict
        What is known of the model.
    """

    def __init__(
        self,
        model: ModelFile,
        device: Any = "cpu",
        precision: str = "single",
        chunk_size: int | None = None,
        mapping: CGMapping | None = None,
    ) -> None:
        import torch

        if precision not in PRECISIONS:
            raise SettingsError(f"precision={precision!r} given: 'single' or 'double' is expected")
        self.mapping = CGMapping.from_dict(model.mapping) if mapping is None else mapping
        self.metadata = model.metadata
        self.potential = model.potential
        self.precision = precision
        self._device = usable_device(device)
        if chunk_size is None:
            chunk_size = CHUNK_SIZES["cuda" if self._device.type == "cuda" else "cpu"]
        self.chunk_size = checked_count("chunk_size", chunk_size)
        Model(model).make_module()
        with torch.no_grad():
            # A copy, since changing its precision would round the caller's.
            module = copy.deepcopy(model.module)
        self._module = module.to(self._device, getattr(torch, np.dtype(PRECISIONS[precision]).name))
        self._seconds = 0.0
        self._warned = self._warned_of_order = False

    @staticmethod
    def load(
        name_or_path: str | PathLike,
        topology: SomeTopology | None = None,
        device: Any = "cpu",
        precision: str = "single",
        chunk_size: int | None = None,
        trust: bool = False,
        **options: Any,
    ) -> Any:
        """Load a model and bind it to a molecule, as ``Model.load(name_or_path).bind(topology, **options)`` does.

        Parameters
        ----------
        name_or_path : str or path
            A bundled model's name, or a model file.
        topology : path, openmm.app.Topology or mdtraj.Topology, optional
            Of the beads. A model of one molecule checks it, and needs none; one of any protein takes whatever
            `openmm_cgvae.binding.protein.bind_protein` reads.
        device, precision, chunk_size
            As of the class.
        trust : bool
            As of ``Model.load``: whether code in the file may run.
        **options
            Of the kind of model, such as ``representative=True`` of `openmm_cgvae.backmapping.protein.AnyProtein.bind`.

        Returns
        -------
        Sampler
            A `Backmapper`, of a model of one molecule; a `ProteinBackmapper`, of one of any protein.

        Raises
        ------
        ModelFileError
            If there is no such model, or the file is not a model file.
        TopologyMismatchError
            If the model does not serve this molecule.
        """
        options |= {"device": device, "precision": precision, "chunk_size": chunk_size}
        return Model.load(name_or_path, trust=trust).bind(topology, **options)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled for other processes."""
        return self.__dict__ | {"_module": pickled_module(self._module)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_module": unpickled_module(state["_module"], state["_device"])})

    def unbounded(self) -> Backmapper | None:
        """Return a `Backmapper` of the same model without the bounds on local geometry, or None if it has none."""
        if not getattr(self._module, "bounded", False):
            return None
        other = copy.copy(self)
        other._module = copy.deepcopy(self._module)
        other._module.bounded = False
        return other

    @property
    def n_atoms(self) -> int:
        return self.mapping.n_atoms

    @property
    def n_beads(self) -> int:
        return self.mapping.n_beads

    @property
    def topology(self) -> Topology:
        """The all-atom ``openmm.app.Topology``."""
        return self.mapping.topology

    @property
    def handedness(self) -> Sequence[int] | None:
        """Sign (+1 or -1) of each stereocentre in the reference, as `Minimizer` takes it; None if unknown."""
        return self.metadata.get("handedness")

    def _repr_html_(self) -> str:
        """Show what it is of, and its held-out figures, as a table in a notebook."""
        rows: list[tuple[Any, ...]] = [
            ("model", self.metadata.get("name", "unnamed")),
            ("molecule", f"{self.n_atoms:,} atoms on {self.n_beads:,} beads"),
            ("computes", f"on {self._device}, in {self.precision} precision"),
        ]
        held_out = self.metadata.get("held_out", {})
        rows += [(f"held-out {name}", held_out[key]) for key, name in HELD_OUT.items() if held_out.get(key) is not None]
        return html_table(type(self).__name__, rows)

    @property
    def fingerprint(self) -> str:
        """Hash of all that its structures depend on: weights, mapping and options."""
        module, options = self._module, self._options()
        return fingerprint(weights_fingerprint(module.state_dict()), self.mapping.to_dict(), options)

    def _options(self) -> list[Any]:
        return [self.precision, bool(getattr(self._module, "bounded", False)), str(self._device), self.chunk_size]

    def cg_topology(self) -> Topology:
        """The coarse-grained ``openmm.app.Topology``."""
        return self.mapping.cg_topology()

    def cg_potential(self) -> CGPotential:
        """The `CGPotential` that travels with the model, to run its CG system.

        Raises
        ------
        ModelFileError
            If the model was trained without one.
        """
        from openmm_cgvae.cg.potential import CGPotential

        if self.potential is None:
            raise ModelFileError("the model holds no CG potential: prepare its data with a temperature")
        return CGPotential.from_dict(self.potential)

    def sample(
        self,
        cg_positions: Positions,
        n_samples: int = 1,
        seed: int | None = None,
        frames: ArrayLike | None = None,
        correlation: float = 0.0,
        box: Positions | None = None,
    ) -> np.ndarray:
        """Draw all-atom structures from p(x | X).

        Parameters
        ----------
        cg_positions : Quantity or array_like, shape (N, 3) or (frames, N, 3)
            Bead positions, bare numbers in nm; the molecule whole, unless a box is given.
        n_samples : int
            Structures wanted for each frame.
        seed : int, optional
            Same seed, same structures, however the frames are split over calls: to rounding (1e-6 nm), since the last
            digits of torch depend on how many share a call; the same call gives the same bits on any number of threads.
            Drawn at random if omitted.
        frames : int array, shape (frames,), optional
            Frame numbers that key the noise; 0, 1, 2, ... if omitted.
        correlation : float
            Correlation time of the noise in frames (`openmm_cgvae.core.noise.correlated_noise`): consecutive frames of
            a sample then look alike, and each by itself is distributed as without. 0 draws every frame on its own.
        box : Quantity or array_like, shape (3, 3) or (frames, 3, 3), optional
            Periodic box vectors of any triclinic shape: the molecule is made whole along its bonds first. Models of any
            protein keep atoms clear of their images.

        Returns
        -------
        numpy.ndarray, shape (frames, n_samples, n, 3)
            nm; float32, or float64 in double precision.

        Raises
        ------
        PositionsError
            If the number of beads is wrong, a position is not finite, or the beads are spread 50 times more or
            less than in training, as by two wrong units; 5 times, as Angstrom for nm give, is warned of. If the box
            is smaller than the molecule. If distances along bonds are not those of training, or another order of the
            beads is clearly nearer to these. If the beads are so unlike those of training that no structure comes
            out.
        """
        beads = as_positions_nm(cg_positions, self.mapping.n_beads, "beads", frames)
        vectors = None
        if box is not None:
            vectors = as_box_vectors(box, len(beads))
            beads = make_whole(beads, vectors, spanning_tree(self.mapping.n_beads, self.mapping.bead_bonds))
            self._check_fits(beads, vectors, frames)
        n_samples, seed = checked_count("n_samples", n_samples), checked_seed(seed)
        frames = checked_frames(frames, len(beads))
        self._check_spread(beads, frames)
        self._check_order(beads, frames)
        atoms = np.empty((len(beads), n_samples, self.n_atoms, 3), dtype=PRECISIONS[self.precision])

        def fill(part):
            its_vectors = None if vectors is None else vectors[part]
            atoms[part] = self._sample_chunk(beads[part], n_samples, seed, frames[part], correlation, its_vectors)

        self._in_parts(fill, len(beads), max(1, self.chunk_size // n_samples))
        return atoms

    def _in_parts(self, fill, n, most):
        """``fill(part)`` for slices of n rows, of which none has more than `most`, each on one of torch's threads.

        One row alone has all threads.
        """
        import torch

        workers = torch.get_num_threads() if self._device.type == "cpu" else 1
        for _ in in_even_slices(fill, n, most, workers):
            pass

    def _called(self, function, *arrays):
        """Call a function of the model with arrays, and return an array."""
        import torch

        started = time.monotonic()
        optimized = self._device.type != "cpu" or self._seconds > OPTIMIZED_AFTER
        # Both modes are thread-local.
        with torch.inference_mode(), torch.jit.optimized_execution(optimized):
            result = function(*(torch.from_numpy(array).to(self._device) for array in arrays)).cpu().numpy()
        self._seconds += time.monotonic() - started
        return result

    def _sample_chunk(self, beads, n_samples, seed, frames, correlation, vectors):
        latent = self._module.latent
        noise = correlated_noise(seed, frames, np.arange(n_samples), self.mapping.n_beads * latent, correlation)
        noise = noise.reshape(-1, self.mapping.n_beads, latent).astype(PRECISIONS[self.precision])
        # In double, if given so: the module subtracts their centre before it rounds them to its own precision.
        beads = beads.astype(np.float64) if self.precision == "double" else beads
        repeated = np.repeat(beads, n_samples, axis=0)
        # Models of any protein see images of their atoms; those of older files, and of single molecules, do not.
        periodic = vectors is not None and getattr(self._module, "periodic", False)
        box = [np.repeat(vectors, n_samples, axis=0)] if periodic else []
        atoms = self._called(self._module, repeated, noise, *box)
        self._check_reach(atoms, repeated, np.repeat(frames, n_samples))
        return atoms.reshape(len(beads), n_samples, self.n_atoms, 3)

    def _check_reach(self, atoms, beads, frames):
        """Refuse structures with atoms too far from their beads, which beads unlike those of training lead to."""
        reach = np.abs(atoms - beads[:, self.mapping.assignment]).max(axis=(1, 2))
        # The negation makes NaN fail too.
        broken = np.flatnonzero(~(reach <= BOND_NM * max(map(len, self.mapping.beads))))
        if broken.size:
            raise PositionsError(
                f"beads of frame {{frame}} are too unlike those the model was trained on, no structure comes "
                f"out ({broken.size} of {len(atoms)} here): check order of beads, units, and the CG force field",
                int(frames[broken[0]]),
            )

    def reconstruct(self, positions: Positions) -> np.ndarray:
        """Encode all-atom structures and decode the posterior mean.

        Parameters
        ----------
        positions : Quantity or array_like, shape (frames, n, 3)
            nm.

        Returns
        -------
        numpy.ndarray, shape (frames, n, 3)
            nm.
        """
        atoms = as_positions_nm(positions, self.n_atoms, "atoms").astype(PRECISIONS[self.precision])
        rebuilt = np.empty_like(atoms)

        def fill(part):
            rebuilt[part] = self._called(self._module.reconstruct, atoms[part])

        self._in_parts(fill, len(atoms), self.chunk_size)
        return rebuilt

    def _check_fits(self, beads, vectors, frames):
        # Twice the RMS distance from the centre is a lower limit of the size of a molecule.
        check_fits(beads, vectors, "the molecule", 2 * self.metadata.get("bead_spread_nm", 0.0), frames)

    @cached_property
    def _order(self):
        return BeadOrder(self.n_beads, self.mapping.bead_bonds, self.potential)

    def _check_order(self, beads, frames):
        """Refuse beads in another order or unit, which nothing but distances tells where there are no names."""
        fault = self._order.fault(beads)
        if fault is None:
            return
        what = "are not those of the model in its order" if fault.certain else "may not be in the model's order"
        error = PositionsError(
            f"beads of frame {{frame}} {what}: {fault.text}; put the beads molecule by molecule, in the order of "
            "cg_topology(), and check that molecules are whole and positions in nm",
            int(frames[fault.row]),
        )
        if fault.certain:
            raise error
        if not self._warned_of_order:
            self._warned_of_order = True
            logger.warning("%s", error)

    def _check_spread(self, beads, frames):
        expected = self.metadata.get("bead_spread_nm", 0.0)
        if not expected or not len(beads):
            return
        ratio = bead_spread(beads) / expected
        worst = int(np.argmax(np.abs(np.log(np.maximum(ratio, 1e-12)))))
        factor = max(ratio[worst], 1 / max(ratio[worst], 1e-12))
        if factor < WARN_FACTOR:
            return
        text = (
            f"beads of frame {{frame}} are spread over {ratio[worst] * expected:.3g} nm, {expected:.3g} nm was seen in "
            "training: check that positions are in nm and molecules whole"
        )
        if factor >= REFUSE_FACTOR:
            raise PositionsError(text, int(frames[worst]))
        if not self._warned:
            self._warned = True
            logger.warning("%s", PositionsError(text, int(frames[worst])))
