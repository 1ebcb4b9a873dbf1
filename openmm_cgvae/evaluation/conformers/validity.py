"""Whether conformers are the molecule that they should be: stereo marks, rings, and bonds."""

from functools import cached_property

import numpy as np

from openmm_cgvae.ensembles.packed import with_conformers

__all__ = ["CHECKS", "ConformerChecks"]

CHECKS = ("centres", "double_bonds", "rings", "bond_graph")
# Bonds and 1-3 distances may leave RDKit's bounds by this part (as in PoseBusters), atoms of aromatic rings the plane
# by so many Angstrom; atoms that are not bonded and nearer than this times their covalent radii would be.
STRETCH, FLATNESS, BONDED = 0.25, 0.25, 1.25
LARGEST_RING, NEAR_RING = 8, 3.0


class ConformerChecks:
    """Checks of conformers of one molecule: ``ConformerChecks(mol)(positions)``.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        With all hydrogens, its stereo marks set.
    """

    def __init__(self, mol):
        from rdkit import Chem

        self.mol = Chem.Mol(mol)
        self.mol.RemoveAllConformers()
        Chem.AssignStereochemistry(self.mol, cleanIt=True, force=True)
        self.centres, self.double_bonds = _marks(self.mol)

    def __call__(self, positions):
        """Check conformers.

        Parameters
        ----------
        positions : array, shape (G, n, 3)
            Angstrom.

        Returns
        -------
        dict of str to numpy.ndarray of bool, shape (G,)
            ``centres``: all stereocentres have their R or S; ``double_bonds``: all their E or Z; ``rings``: aromatic
            rings are flat, ring bonds whole, and no bond passes through a ring of up to 8 atoms; ``bond_graph``: no
            bond or angle is broken, and no other atoms are as near as bonded ones.
        """
        positions = np.asarray(positions, dtype=np.float64)
        stereo = np.array([self._stereo(places) for places in positions], dtype=bool).reshape(-1, 2)
        found = {
            "centres": stereo[:, 0],
            "double_bonds": stereo[:, 1],
            "rings": np.array([self._rings(places) for places in positions], dtype=bool),
            "bond_graph": self._bond_graph(positions),
        }
        return found

    def _stereo(self, places):
        from rdkit import Chem

        built = with_conformers(self.mol, places[None])
        Chem.AssignStereochemistryFrom3D(built)
        centres, bonds = _marks(built)
        return centres.items() >= self.centres.items(), bonds.items() >= self.double_bonds.items()

    @cached_property
    def _limits(self):
        """Pairs up to two bonds apart (p, 2), their bounds (p, 2), other pairs (q, 2), their least distance (q,)."""
        from rdkit import Chem
        from rdkit.Chem import rdDistGeom

        bounds = rdDistGeom.GetMoleculeBoundsMatrix(self.mol)
        apart = Chem.GetDistanceMatrix(self.mol)
        first, second = np.triu_indices(self.mol.GetNumAtoms(), 1)
        near = apart[first, second] < 2.5
        radii = np.array([_covalent_radius(atom) for atom in self.mol.GetAtoms()])
        inside = np.stack([bounds[second, first] * (1 - STRETCH), bounds[first, second] * (1 + STRETCH)], axis=1)
        pairs = np.stack([first, second], axis=1)
        return pairs[near], inside[near], pairs[~near], BONDED * radii[pairs[~near]].sum(1)

    def _bond_graph(self, positions):
        near, inside, others, least = self._limits
        lengths, distances = (
            np.linalg.norm(positions[:, pairs[:, 0]] - positions[:, pairs[:, 1]], axis=-1) for pairs in (near, others)
        )
        return ((lengths > inside[:, 0]) & (lengths < inside[:, 1])).all(1) & (distances > least).all(1)

    @cached_property
    def _ring_atoms(self):
        """(atoms, whether it is aromatic) of the rings."""
        rings = [list(ring) for ring in self.mol.GetRingInfo().AtomRings()]
        return [(r, all(self.mol.GetAtomWithIdx(i).GetIsAromatic() for i in r)) for r in rings]

    @cached_property
    def _bonds(self):
        bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in self.mol.GetBonds()]
        return np.array(bonds, dtype=np.int64).reshape(-1, 2)

    def _rings(self, places):
        near, inside, _, _ = self._limits
        for ring, aromatic in self._ring_atoms:
            own = places[ring] - places[ring].mean(0)
            if aromatic and np.abs(own @ np.linalg.svd(own)[2][2]).max() > FLATNESS:
                return False
            members = np.isin(near, ring).all(1)
            lengths = np.linalg.norm(np.diff(places[near[members]], axis=1)[:, 0], axis=-1)
            if not ((lengths > inside[members, 0]) & (lengths < inside[members, 1])).all():
                return False
            outside = self._bonds[~np.isin(self._bonds, ring).any(1)]
            if len(ring) <= LARGEST_RING and _pierced(places[ring], places[outside]):
                return False
        return True


def _marks(mol):
    """CIP codes of stereocentres, and E or Z of double bonds, by atom and bond."""
    centres = {a.GetIdx(): a.GetProp("_CIPCode") for a in mol.GetAtoms() if a.HasProp("_CIPCode")}
    bonds = {b.GetIdx(): str(b.GetStereo()) for b in mol.GetBonds() if str(b.GetStereo()) in ("STEREOE", "STEREOZ")}
    return centres, bonds


def _covalent_radius(atom):
    from rdkit import Chem

    return Chem.GetPeriodicTable().GetRcovalent(atom.GetAtomicNum())


def _pierced(ring, bonds):
    """Whether a bond (b, 2, 3) passes through one of the triangles between a ring's centre and its sides."""
    centre = ring.mean(0)
    # Of bonds far away none comes near.
    bonds = bonds[(np.linalg.norm(bonds - centre, axis=-1) < NEAR_RING).any(1)]
    if not len(bonds):
        return False
    start, along = bonds[:, 0], bonds[:, 1] - bonds[:, 0]
    for a, b in zip(ring, np.roll(ring, 1, axis=0), strict=True):
        # Moeller and Trumbore: start + t along = centre + u (a - centre) + v (b - centre).
        sides = np.broadcast_to(np.stack([a - centre, b - centre], axis=1), (len(bonds), 3, 2))
        matrix = np.concatenate([-along[:, :, None], sides], axis=2)
        crossing = np.abs(np.linalg.det(matrix)) > 1e-9
        if not crossing.any():
            continue
        t, u, v = np.linalg.solve(matrix[crossing], (start[crossing] - centre)[..., None])[..., 0].T
        if ((t > 0) & (t < 1) & (u > 0) & (v > 0) & (u + v < 1)).any():
            return True
    return False
