"""Small peptides of ideal geometry, from which the residue library is read.

Heavy atoms and chirality by RDKit, names and hydrogens by OpenMM, geometry the minimum of the bonded terms of amber14.
"""

from functools import cache

import numpy as np

from openmm_cgvae.core.errors import DataError

__all__ = ["IdealPeptide", "branches", "heavy_neighbours", "names_of", "planar", "symmetry_ranks"]


@cache
def _amber14():
    from openmm import app

    return app.ForceField("amber14-all.xml")


class IdealPeptide:
    """A minimised peptide with RDKit's heavy atoms and OpenMM's hydrogens; one of its residues is looked at."""

    def __init__(self, letter, variant=None, n_cap="ACE", c_cap="NME", focus=0):
        from openmm import app

        topology, positions, self.residue = _heavy_peptide(letter, n_cap, c_cap)
        forcefield = _amber14()
        variants = [variant if r.index == self.residue else None for r in topology.residues()]
        self.residue += focus
        modeller = app.Modeller(topology, positions)
        modeller.addHydrogens(forcefield, variants=variants)
        self.topology = modeller.topology
        self.system = forcefield.createSystem(self.topology)
        self.names = [self._relative_name(atom) for atom in self.topology.atoms()]
        self.index = {name: i for i, name in enumerate(self.names)}
        self.elements = [atom.element.symbol for atom in self.topology.atoms()]
        self.neighbours = [[] for _ in self.names]
        for a, b in self.topology.bonds():
            self.neighbours[a.index].append(b.index)
            self.neighbours[b.index].append(a.index)
        self._minimise(modeller.positions)

    def _relative_name(self, atom):
        """Name of an atom: of the residue before with a minus, of the one behind with a plus."""
        return {-1: "-", 0: "", 1: "+"}.get(atom.residue.index - self.residue, "?") + atom.name

    def _minimise(self, positions):
        import openmm

        # Contacts would bend small groups in vacuum; bonded terms alone give the ideal geometry. The torsion of a
        # hydroxyl also needs the pairs three bonds apart, which energies have and minimisation has not.
        system = openmm.System()
        for i in range(self.system.getNumParticles()):
            system.addParticle(self.system.getParticleMass(i))
        for force in self.system.getForces():
            if isinstance(force, openmm.NonbondedForce):
                system.addForce(_pair_force(force))
            else:
                system.addForce(openmm.XmlSerializer.clone(force))
        integrator = openmm.VerletIntegrator(0.001)
        integrator.setIntegrationForceGroups({0})
        self.context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
        self.context.setPositions(positions)
        openmm.LocalEnergyMinimizer.minimize(self.context, 1e-3)
        state = self.context.getState(getPositions=True)
        self.positions = np.array(state.getPositions(asNumpy=True)._value)
        self._name_alike_branches()

    def _name_alike_branches(self):
        """Exchange alike branches of tetrahedral centres that lie on each other's side.

        By the recommendations of IUPAC (1969), seen from the atom nearer to the main chain, the other neighbours of
        a carbon follow each other clockwise: the heavy ones by their numbers, then hydrogens by theirs.
        """
        own = [self.index[name] for name in self.own()]
        ranks = symmetry_ranks(self)
        for centre in own:
            # Proline's ring is numbered from C-beta on, so that N comes last.
            around = sorted(
                self.neighbours[centre],
                key=lambda i: own.index(i) if i in own and (self.names[i] != "N" or self.names[centre] == "CA") else 99,
            )
            around.sort(key=lambda i: self.elements[i] == "H")
            if len(around) != 4 or len({ranks[i] for i in around}) != 3:
                continue
            if np.linalg.det(self.positions[around[1:]] - self.positions[centre]) < 0:
                first, second = next((i, j) for i in around for j in around if i < j and ranks[i] == ranks[j])
                for a, b in branches(self, ranks, centre, first, second):
                    i, j = self.index[a], self.index[b]
                    self.positions[[i, j]] = self.positions[[j, i]]

    def energy(self, positions):
        """Energy of bonded terms and of pairs three bonds apart in kJ/mol."""
        self.context.setPositions(positions)
        return self.context.getState(getEnergy=True).getPotentialEnergy()._value

    def own(self):
        """Names of the residue's atoms: heavy ones in RDKit's order, OXT behind them, then hydrogens."""
        names = [n for n in self.names if n[0] not in "+-?"]
        hydrogen = {n for n in names if self.elements[self.index[n]] == "H"}
        heavy = [n for n in names if n not in hydrogen]
        heavy.sort(key=lambda n: n == "OXT")
        return heavy + sorted(hydrogen, key=lambda n: self._hydrogen_key(n, heavy))

    def _hydrogen_key(self, name, heavy):
        parent = self.names[self.neighbours[self.index[name]][0]]
        return heavy.index(parent), name


def _pair_force(nonbonded):
    """The pairs three bonds apart of a NonbondedForce, in force group 1."""
    import openmm

    force = openmm.CustomBondForce("138.935458*q/r + 4*e*((s/r)^12 - (s/r)^6)")
    for name in "qse":
        force.addPerBondParameter(name)
    for k in range(nonbonded.getNumExceptions()):
        i, j, *parameters = nonbonded.getExceptionParameters(k)
        force.addBond(i, j, parameters)
    force.setForceGroup(1)
    return force


def _heavy_peptide(letter, n_cap, c_cap):
    """Topology, positions in nm and residue index of a peptide with caps; a cap may be None.

    A glycine before becomes the acetyl (CA, C, O), one behind the amide or methylamide (N, CA).
    """
    from openmm import Vec3, app, unit
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSequence(("G" if n_cap else "") + letter + ("G" if c_cap else "")))
    AllChem.EmbedMolecule(molecule, randomSeed=1)
    where = molecule.GetConformer().GetPositions() / 10.0
    middle = 2 if n_cap else 1
    renamed = {middle - 1: {"C": "C", "O": "O", "CA": "CH3"}, middle + 1: {"N": "N", "CA": "C"}}
    if c_cap == "NH2":
        renamed[middle + 1] = {"N": "N"}
    topology, positions, residues = app.Topology(), [], {}
    chain = topology.addChain()
    for atom in molecule.GetAtoms():
        info = atom.GetPDBResidueInfo()
        if atom.GetAtomicNum() == 1 or info is None:
            continue
        number, name = info.GetResidueNumber(), info.GetName().strip()
        if number != middle:
            name = renamed[number].get(name)
        if name is None:
            continue
        if number not in residues:
            label = {middle - 1: n_cap, middle: info.GetResidueName(), middle + 1: c_cap}[number]
            residues[number] = topology.addResidue(label, chain)
        topology.addAtom(name, app.Element.getByAtomicNumber(atom.GetAtomicNum()), residues[number])
        positions.append(Vec3(*where[atom.GetIdx()]))
    topology.createStandardBonds()
    bonds = {
        frozenset(_name(a) for a in (b.GetBeginAtom(), b.GetEndAtom()))
        for b in molecule.GetBonds()
        if _within(b, middle)
    }
    _exchange_misnamed(residues[middle], bonds, positions)
    return topology, positions * unit.nanometer, residues[middle].index


def _name(atom):
    return atom.GetPDBResidueInfo().GetName().strip()


def _within(bond, number):
    """Whether both heavy atoms of a bond are in the residue of that number."""
    atoms = (bond.GetBeginAtom(), bond.GetEndAtom())
    return all(a.GetAtomicNum() > 1 and a.GetPDBResidueInfo().GetResidueNumber() == number for a in atoms)


def _exchange_misnamed(residue, bonds, positions):
    """Exchange the positions of two atoms where RDKit's names mean other bonds than OpenMM's.

    RDKit 2026.9 bonds CD1 of isoleucine to CG2.
    """
    index = {atom.name: atom.index for atom in residue.atoms()}
    expected = {frozenset((b.atom1.name, b.atom2.name)) for b in residue.internal_bonds()}
    names = list(index)
    for a in names:
        for b in names[names.index(a) :]:
            exchanged = {frozenset({a: b, b: a}.get(name, name) for name in bond) for bond in bonds}
            if exchanged == expected:
                positions[index[a]], positions[index[b]] = positions[index[b]], positions[index[a]]
                return
    raise DataError(f"{residue.name}: names of RDKit and OpenMM mean different bonds; one exchange does not mend them")


def symmetry_ranks(peptide):
    """RDKit's rank of every atom of the graph without bond orders, equal for equivalent ones."""
    from rdkit import Chem

    molecule = Chem.RWMol()
    for symbol in peptide.elements:
        atom = Chem.Atom(symbol)
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
    for i, row in enumerate(peptide.neighbours):
        for j in row:
            if i < j:
                molecule.AddBond(i, j, Chem.BondType.SINGLE)
    molecule.UpdatePropertyCache(strict=False)
    return list(Chem.CanonicalRankAtoms(molecule, breakTies=False))


def branches(peptide, ranks, centre, i, j):
    """Pairs of two branches followed side by side, alike atoms by the order of their names."""
    pairs, seen, stack = [], {centre}, [(i, j)]
    while stack:
        a, b = stack.pop(0)
        if a == b or a in seen or b in seen:
            continue
        seen |= {a, b}
        pairs.append(list(names_of(peptide, a, b)))
        left = sorted((n for n in peptide.neighbours[a] if n not in seen), key=lambda n: (ranks[n], peptide.names[n]))
        right = sorted((n for n in peptide.neighbours[b] if n not in seen), key=lambda n: (ranks[n], peptide.names[n]))
        if [ranks[n] for n in left] != [ranks[n] for n in right]:
            return []
        stack += list(zip(left, right, strict=True))
    return pairs


def heavy_neighbours(peptide, atom, without=None):
    """Heavy neighbours in the order in which references are chosen: main chain first, then by name's place."""
    found = [i for i in peptide.neighbours[atom] if peptide.elements[i] != "H" and i != without]
    rank = {"N": 0, "CA": 1, "C": 2}
    own = peptide.own()
    return sorted(
        found,
        key=lambda i: (rank.get(peptide.names[i], 3), own.index(peptide.names[i]) if peptide.names[i] in own else 99),
    )


def names_of(peptide, *atoms):
    return tuple(peptide.names[i] for i in atoms)


def planar(peptide, atom):
    vectors = peptide.positions[peptide.neighbours[atom]] - peptide.positions[atom]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return len(unit) == 3 and abs(np.linalg.det(unit)) < 0.1
