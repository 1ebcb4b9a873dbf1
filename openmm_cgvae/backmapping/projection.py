"""From all atoms to the beads that a model is of, whichever molecule it is bound to."""

from openmm_cgvae.chemistry.aminoacids.names import kind_of
from openmm_cgvae.core.errors import SettingsError, TopologyMismatchError
from openmm_cgvae.molecule.mapping import CGMapping

__all__ = ["projection"]


def projection(model, topology):
    """Return the `CGMapping` of an all-atom topology (mdtraj) on the beads that a `Model` is of.

    Raises
    ------
    SettingsError
        If it is of Martini beads, which are not made here.
    TopologyMismatchError
        If it is of any protein, and there is no amino acid.
    """
    if not model.of_any_molecule:
        return model.bind().mapping
    if model.file.kind == "ligand":
        return CGMapping.rigid_fragments(topology)
    if model.metadata["mapping"] in ("ca", "com"):
        return _one_bead_a_residue(topology, model.metadata["mapping"])
    raise SettingsError(f"{model.metadata['beads']} are not made here: make them with martinize2, and backmap those")


def _one_bead_a_residue(topology, kind):
    """The `CGMapping` on C-alphas, or on centres of mass, of amino acids; all other atoms weigh nothing."""
    beads, weights, left = [], [0.0] * topology.n_atoms, []
    for chain in topology.chains:
        # What is in front of a chain's first amino acid, such as a cap, goes with it, all else with the one before.
        waiting, own = [], []
        for residue in chain.residues:
            atoms = list(residue.atoms)
            centre = [atom for atom in atoms if kind == "com" or atom.name == "CA"]
            if kind_of(residue.name) != "amino acid" or not centre:
                (own[-1] if own else waiting).extend(atom.index for atom in atoms)
                continue
            for atom in centre:
                weights[atom.index] = atom.element.mass if kind == "com" else 1.0
            own.append([atom.index for atom in atoms] + waiting)
            waiting = []
        beads += own
        left += waiting
    if not beads:
        raise TopologyMismatchError(f"no amino acid among {topology.n_residues} residues given: a protein is expected")
    beads[-1] += left
    return CGMapping(topology, beads, weights, ["CA" if kind == "ca" else "COM"] * len(beads))
