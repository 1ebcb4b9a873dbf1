"""A coarse-grained force field by the interface of openmm-ml; `CGPotentialFactory` makes it."""

from openmmml.mlpotential import MLPotentialImpl

from openmm_cgvae.core.errors import SettingsError, TopologyMismatchError

__all__ = ["CGPotentialImpl"]


class CGPotentialImpl(MLPotentialImpl):
    """Adds a `CGPotential` to Systems of beads.

    Parameters
    ----------
    potential : CGPotential or LearnedPotential
    """

    def __init__(self, potential):
        self.potential = potential

    def addForces(self, topology, system, atoms, forceGroup, **args):
        """Add the potential of all particles of `system`, or of `atoms`: molecules one after the other.

        Without `atoms`, particles get the masses of the beads, and beads of different molecules in a periodic box
        repel each other, as in `create_cg_system`.

        Raises
        ------
        TopologyMismatchError
            If the beads are called otherwise than the potential's, or are in another order.
        SettingsError
            If they are no whole number of molecules, or there are several molecules without a periodic box.
        """
        from openmm_cgvae.cg.box import box_vectors, excluded_volume_force
        from openmm_cgvae.cg.system import cg_forces

        particles = [*(range(topology.getNumAtoms()) if atoms is None else atoms)]
        box = topology.getPeriodicBoxVectors()
        forces = cg_forces(self.potential, topology.getNumAtoms(), particles, box is not None)
        mapping, copies = self._mapping(), len(particles) // self.potential.n_beads
        if mapping is not None:
            _check_names(topology, particles, mapping)
        if atoms is None:
            if mapping is None:
                raise SettingsError("tables alone tell no masses: give modelPath a file of learn-forcefield")
            for k, mass in enumerate(mapping.masses.tolist() * copies):
                system.setParticleMass(k, mass)
            if (vectors := box_vectors(box, copies)) is not None:
                forces.append(excluded_volume_force(mapping, copies, vectors))
        for force in forces:
            force.setForceGroup(forceGroup)
            system.addForce(force)

    def getMLLongRange(self):
        """Whether the potential acts beyond a cutoff: no, within molecules alone."""
        return False

    def _mapping(self):
        """The beads of a learned potential; tables alone do not tell theirs."""
        from openmm_cgvae.molecule.mapping import CGMapping

        described = getattr(self.potential, "mapping", None)
        return None if described is None else CGMapping.from_dict(described)


def _check_names(topology, particles, mapping):
    """Refuse beads of another molecule, or in another order."""
    named = [(atom.residue.name, atom.name) for atom in topology.atoms()]
    own = [(atom.residue.name, atom.name) for atom in mapping.cg_topology().atoms()]
    for k, particle in enumerate(particles):
        if named[particle] != own[k % len(own)]:
            raise TopologyMismatchError(
                f"particle {particle} of the topology is {' '.join(named[particle])}, {' '.join(own[k % len(own)])} is "
                "expected: it is of another molecule, or its beads are in another order"
            )
