"""The unit boundary: OpenMM ``Quantity`` or bare nm, ps, kJ/mol outside, Angstrom inside the model."""

import numpy as np

from openmm_cgvae.core.errors import PositionsError

__all__ = ["ANGSTROM_PER_NM", "BOLTZMANN_KJ_PER_MOL_K", "as_positions_nm", "frame_number", "value_in_md_units"]

ANGSTROM_PER_NM = 10.0
BOLTZMANN_KJ_PER_MOL_K = 0.00831446261815324


def value_in_md_units(value):
    """Strip an OpenMM ``Quantity`` to nm, ps, kJ/mol, K, amu; pass anything else through.

    Recognised by its method, so that OpenMM need not be imported here.
    """
    if hasattr(value, "value_in_unit_system"):
        from openmm.unit import md_unit_system

        return value.value_in_unit_system(md_unit_system)
    return value


def as_positions_nm(positions, n_particles, what="particles", frames=None):
    """Convert positions to a finite float array in nm.

    Parameters
    ----------
    positions : Quantity, array_like or torch.Tensor, shape (n_particles, 3) or (frames, n_particles, 3)
        Positions; bare numbers are nm.
    n_particles : int
        The expected number of particles in a frame.
    what : str
        What a particle is called in an error message.
    frames : int array, shape (frames,), optional
        Numbers of the frames, for messages; counted from 0 if omitted.

    Returns
    -------
    numpy.ndarray, shape (frames, n_particles, 3)
        float64 if the input was, float32 otherwise.

    Raises
    ------
    PositionsError
        If the shape is wrong or a coordinate is not finite.
    """
    try:
        array = np.asarray(_in_nm(positions))
        array = np.asarray(array, dtype=np.float32 if array.dtype == np.float32 else np.float64)
    except (TypeError, ValueError) as error:
        raise PositionsError(f"positions cannot be read ({error}): numbers in nm or lengths expected") from error
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[1:] != (n_particles, 3):
        shape = tuple(np.shape(array)[1:]) if array.ndim == 3 else tuple(np.shape(array))
        raise PositionsError(
            f"positions of shape {shape} given, ({n_particles}, 3) a frame expected: "
            f"check that these are the {n_particles} {what} of this model, in its order"
        )
    finite = np.isfinite(array).all(axis=(1, 2))
    if not finite.all():
        raise PositionsError(
            "positions of frame {frame} hold NaN or infinity: "
            "the simulation that wrote them has become unstable; leave such frames out",
            frame_number(int(np.argmin(finite)), len(array), frames),
        )
    return array


def frame_number(row, n_frames, frames=None):
    """Number of a frame for messages: `frames[row]`, or `row` where no numbers, or other than one each, are given."""
    return row if frames is None or np.shape(frames) != (n_frames,) else int(frames[row])


def _in_nm(positions):
    if hasattr(positions, "value_in_unit"):
        from openmm.unit import nanometer

        return positions.value_in_unit(nanometer)
    # Element by element, since numpy would drop the units of a list of Quantities.
    return [_in_nm(part) for part in positions] if isinstance(positions, list | tuple) else positions
