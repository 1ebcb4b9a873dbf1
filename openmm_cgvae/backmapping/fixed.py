"""Models of one molecule: `CGVAE` and baselines."""

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.core.errors import TopologyMismatchError
from openmm_cgvae.molecule.topology import as_mdtraj_topology

__all__ = ["FixedMolecule"]


class FixedMolecule:
    """The `ModelKind` of models of one molecule, which is in their file."""

    of_any_molecule = False

    @staticmethod
    def rebuild(file):
        """Build the module by the package's own classes."""
        from openmm_cgvae.models.rebuild import rebuild_model

        return rebuild_model(file.metadata, file.molecule, file.weights, file.mapping["topology"]["bonds"])

    @staticmethod
    def bind(file, topology=None, **options):
        """Make the `Backmapper` of the file, if the topology is of its beads.

        Raises
        ------
        TopologyMismatchError
            Naming the first bead that differs.
        """
        backmapper = Backmapper(file, **options)
        if topology is not None:
            check_beads(topology, backmapper)
        return backmapper

    @staticmethod
    def serves(file):
        """Say of which molecule the model is."""
        topology = file.mapping["topology"]
        residues = "-".join(name for name, *_ in topology["residues"])
        return f"{residues}, {len(topology['atoms'])} atoms on {len(file.mapping['beads'])} beads"


def check_beads(topology, backmapper):
    """Refuse a topology whose beads are not those of the backmapper, in its order (`TopologyMismatchError`)."""
    given = [(atom.residue.name, atom.name) for atom in as_mdtraj_topology(topology).atoms]
    if len(given) == backmapper.n_atoms != backmapper.n_beads:
        raise TopologyMismatchError(
            f"a topology of {len(given)} atoms given, the all-atom molecule itself: the topology of its "
            f"{backmapper.n_beads} beads is expected (openmm-cgvae project makes them)"
        )
    if len(given) != backmapper.n_beads:
        raise TopologyMismatchError(
            f"a topology of {len(given)} particles given, the model is of one molecule of {backmapper.n_beads} beads: "
            "SystemBackmapper (on the command line, --top) takes a system of many molecules"
        )
    own = [(atom.residue.name, atom.name) for atom in backmapper.cg_topology().atoms()]
    for k, (found, expected) in enumerate(zip(given, own, strict=True)):
        if found != expected:
            raise TopologyMismatchError(
                f"bead {k} of the topology given is {' '.join(found)}, {' '.join(expected)} is expected: "
                "it is of another molecule, or its beads are in another order"
            )
