"""A peptide from its sequence: an extended chain of C-alphas, to which a model of any protein gives atoms."""

import re
from pathlib import Path

import numpy as np
from openmm import app

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.chemistry.aminoacids.names import variant_of
from openmm_cgvae.core.errors import OutputError, SettingsError
from openmm_cgvae.core.output import check_output, complete_output
from openmm_cgvae.io.trajectory_files import TrajectoryWriter

__all__ = ["build_peptide"]

# Of an extended strand, nm: rise of a residue along it, and how far C-alphas lie on either side. They are 0.38 apart.
RISE, SIDE = 0.33, 0.0942
# Samples, of which the one of lowest energy is taken.
SAMPLES = 4


def build_peptide(
    sequence: str,
    output: str | Path,
    *,
    termini: str | tuple[str, str] = "capped",
    seed: int = 0,
    overwrite: bool = False,
) -> app.Topology:
    """Write the structure of a peptide, extended, with all hydrogens and minimised: a start for reference MD.

    Parameters
    ----------
    sequence : str
        One-letter codes, as in ``GEWTYK``, or names joined by hyphens, as in ``GLY-HIP-ALA``; three residues or more.
    output : path
        PDB or mmCIF.
    termini : str or (str, str)
        Charged, neutral or capped (ACE and NME), of both ends or of start and end.
    seed : int
        The same seed gives the same structure.
    overwrite : bool

    Returns
    -------
    topology : openmm.app.Topology

    Raises
    ------
    SettingsError
        If the sequence has a residue that is no amino acid, or fewer than three.
    OutputError
        If `output` is of another format, or exists and `overwrite` is not set.
    """
    if Path(output).suffix.lower() not in (".pdb", ".cif"):
        raise OutputError(f"{output} given for a structure: a name that ends in .pdb or .cif is expected")
    output = check_output(output, overwrite)
    beads, positions = _extended_chain(_residue_names(sequence))
    backmapper = Model.load("protein-ca").bind(beads, positions=positions, termini=termini)
    samples = backmapper.sample(positions[None], n_samples=SAMPLES, seed=seed)[0]
    minimizer = Minimizer(
        backmapper.mapping, implicitSolvent="GBn2", maxIterations=200, handedness=backmapper.handedness
    )
    result = minimizer.minimize(samples)
    with complete_output(output) as path, TrajectoryWriter(path, backmapper.topology, name=output) as writer:
        writer.write(result.positions[np.argmin(result.energy_after)][None], None)
    return backmapper.topology


def _residue_names(sequence):
    """Names of residues of either notation; `SettingsError` names the one that is none."""
    parts = [part for part in re.split(r"[-\s]+", sequence.strip()) if part]
    names = list(parts[0]) if len(parts) == 1 and variant_of(parts[0]) is None else parts
    if len(names) < 3:
        raise SettingsError(f"sequence {sequence!r} of {len(names)} residues given: three are expected at least")
    for position, name in enumerate(names, 1):
        if variant_of(name, one_letter=True) is None:
            raise SettingsError(
                f"sequence {sequence!r} given: residue {position}, {name}, is no amino acid; one-letter codes are "
                "expected, as in GEWTYK, or names, as in GLY-HIP-ALA"
            )
    return [variant_of(name, one_letter=True) for name in names]


def _extended_chain(names):
    """C-alphas of an extended chain: topology, and positions in nm."""
    topology = app.Topology()
    chain = topology.addChain("A")
    for number, name in enumerate(names, 1):
        residue = topology.addResidue(name, chain, str(number))
        topology.addAtom("CA", app.element.carbon, residue)
    along = np.arange(len(names))
    return topology, np.stack([RISE * along, SIDE * (-1.0) ** along, 0.0 * along], axis=1)
