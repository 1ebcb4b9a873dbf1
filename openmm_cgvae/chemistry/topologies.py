"""Between OpenMM topologies and RDKit molecules, with bond orders, formal charges and stereo marks."""

from openmm_cgvae.chemistry.stereo import set_stereo_marks, stereo_marks
from openmm_cgvae.core.errors import MoleculeError, one_line

__all__ = ["STEREO", "determine_orders", "molecule_topology", "topology_molecule"]

# Name under which a topology carries `stereo_marks`, for which OpenMM's class has no place.
STEREO = "stereoMarks"
NAMES = {1: "Single", 2: "Double", 3: "Triple"}
LIGAND = "LIG"


def molecule_topology(mol, residue=LIGAND):
    """Return a molecule's explicit atoms as an OpenMM ``Topology``.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        Atoms keep the names and residues that a PDB file gave them; others are named by element and number (C1, C2,
        H1) in one residue a molecule.
    residue : str
        Its name.

    Returns
    -------
    openmm.app.Topology
        Atoms in the order of `mol`, with formal charges; bonds with integer orders (of one of the Kekule structures)
        and types, "Aromatic" where they are; stereo marks as its attribute ``stereoMarks`` (see `stereo_marks`).
    """
    from openmm import app
    from rdkit import Chem

    kekule = Chem.Mol(mol)
    Chem.Kekulize(kekule)
    topology, atoms, counts = app.Topology(), [], {}
    chain = last = own = None
    for atom, part in zip(mol.GetAtoms(), _parts(mol), strict=True):
        info = atom.GetPDBResidueInfo()
        key = (part,) if info is None else (info.GetChainId(), info.GetResidueNumber(), info.GetResidueName().strip())
        if key != last:
            # A chain a molecule, or as the file has them.
            if chain is None or key[0] != last[0]:
                chain = topology.addChain(id=None if info is None else key[0])
            name, number = (residue, None) if info is None else (key[2], str(key[1]))
            own, last = topology.addResidue(name, chain, id=number), key
        counts[atom.GetSymbol()] = counts.get(atom.GetSymbol(), 0) + 1
        name = f"{atom.GetSymbol()}{counts[atom.GetSymbol()]}" if info is None else info.GetName().strip()
        element = app.Element.getByAtomicNumber(atom.GetAtomicNum()) if atom.GetAtomicNum() else None
        atoms.append(topology.addAtom(name, element, own, formalCharge=atom.GetFormalCharge()))
    for bond, single in zip(mol.GetBonds(), kekule.GetBonds(), strict=True):
        order = int(single.GetBondTypeAsDouble())
        kind = "Aromatic" if bond.GetIsAromatic() else NAMES.get(order)
        ends = (atoms[bond.GetBeginAtomIdx()], atoms[bond.GetEndAtomIdx()])
        topology.addBond(*ends, type=kind and getattr(app, kind), order=order)
    setattr(topology, STEREO, stereo_marks(mol))
    return topology


def topology_molecule(topology, charge=0):
    """Return an OpenMM ``Topology`` as an RDKit molecule.

    Bond orders are those of the topology. Where it has none, or single bonds alone leave valences open (as in an Amber
    prmtop, which tells no orders), they are determined from the valences of its elements, with all hydrogens present.

    Parameters
    ----------
    topology : openmm.app.Topology
        With bonds and all hydrogens; stereo marks in its attribute ``stereoMarks`` are set.
    charge : int
        Net charge, where orders are determined and the topology has no formal charges.

    Returns
    -------
    rdkit.Chem.Mol
        Atoms in the same order, hydrogens explicit, sanitised.

    Raises
    ------
    MoleculeError
        If it has no bonds, particles without an element, or valences that no bond orders explain.
    """
    from rdkit import Chem, rdBase

    mol, charges = _bare_molecule(topology), [getattr(atom, "formalCharge", None) for atom in topology.atoms()]
    if mol.GetNumAtoms() > 1 and not mol.GetNumBonds():
        raise MoleculeError("the topology has no bonds: give a PDB file with CONECT records, or an SDF file")
    known = _set_orders(mol, topology)
    for atom, own in zip(mol.GetAtoms(), charges, strict=True):
        atom.SetFormalCharge(own or 0)
        atom.SetNoImplicit(True)
    with rdBase.BlockLogs():
        if not (known and _is_complete(mol)):
            net = charge if all(own is None for own in charges) else sum(own or 0 for own in charges)
            mol = _determined(topology, net)
        try:
            mol = mol.GetMol()
            Chem.SanitizeMol(mol)
            set_stereo_marks(mol, getattr(topology, STEREO, None) or {})
        except Exception as error:
            raise MoleculeError(f"the bond orders of the topology make no molecule ({one_line(error)})") from error
    return mol


def _parts(mol):
    """Number of the molecule that every atom belongs to."""
    from rdkit import Chem

    parts = {i: k for k, atoms in enumerate(Chem.GetMolFrags(mol)) for i in atoms}
    return [parts[i] for i in range(mol.GetNumAtoms())]


def _bare_molecule(topology):
    """Its atoms and bonds, all of them single."""
    from rdkit import Chem

    mol, index = Chem.RWMol(), {}
    for i, particle in enumerate(topology.atoms()):
        if particle.element is None:
            raise MoleculeError(f"particle {i} ({particle.name}) has no element: a topology of atoms alone is expected")
        atom = Chem.Atom(particle.element.atomic_number)
        info = Chem.AtomPDBResidueInfo(particle.name.ljust(4), residueName=particle.residue.name)
        info.SetChainId(str(particle.residue.chain.id or ""))
        if str(particle.residue.id).lstrip("-").isdigit():
            info.SetResidueNumber(int(particle.residue.id))
        atom.SetMonomerInfo(info)
        index[particle] = mol.AddAtom(atom)
    for bond in topology.bonds():
        mol.AddBond(index[bond[0]], index[bond[1]], Chem.BondType.SINGLE)
    return mol


def _set_orders(mol, topology):
    """Set the bond orders that a topology has; False if one has none."""
    from rdkit import Chem

    kinds = {1: Chem.BondType.SINGLE, 2: Chem.BondType.DOUBLE, 3: Chem.BondType.TRIPLE}
    orders = {name: order for order, name in NAMES.items()} | {"Amide": 1}
    for own, bond in zip(mol.GetBonds(), topology.bonds(), strict=True):
        order = bond.order if bond.order is not None else orders.get(str(bond.type))
        if order is None and str(bond.type) == "Aromatic":
            own.SetBondType(Chem.BondType.AROMATIC)
            own.SetIsAromatic(True)
            for atom in (own.GetBeginAtom(), own.GetEndAtom()):
                atom.SetIsAromatic(True)
        elif order not in kinds:
            return False
        else:
            own.SetBondType(kinds[order])
    return True


def _is_complete(mol):
    """Whether its bond orders fill the valences: no error, and no unpaired electron."""
    from rdkit import Chem

    copy = Chem.Mol(mol)
    try:
        Chem.SanitizeMol(copy)
    except ValueError:
        return False
    return not any(atom.GetNumRadicalElectrons() for atom in copy.GetAtoms())


def _determined(topology, charge):
    from rdkit import Chem

    mol = Chem.RWMol(_bare_molecule(topology))
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
    determine_orders(mol, charge)
    return mol


def determine_orders(mol, charge):
    """Set the bond orders of a molecule of single bonds with all hydrogens, in place, from its valences.

    Raises
    ------
    MoleculeError
        If none give the net charge.
    """
    from rdkit.Chem import rdDetermineBonds

    try:
        rdDetermineBonds.DetermineBondOrders(mol, charge=charge, embedChiral=False)
    except Exception as error:
        raise MoleculeError(
            f"no bond orders make net charge {charge}: give the charge (--charge, charge=), all hydrogens, "
            "or a file with bond orders (SDF, MOL2)"
        ) from error
