"""How near generated conformers are to a reference ensemble, and how near to a crystal: coverage and RMSD."""

import numpy as np

from openmm_cgvae.chemistry.symmetry import heavy_symmetries
from openmm_cgvae.metrics.pairrmsd import pair_rmsd

__all__ = ["THRESHOLDS", "conformer_positions", "crystal_accuracy", "ensemble_accuracy"]

# Angstrom: of small molecules as in QM9, and of drug-like ones.
THRESHOLDS = (0.5, 0.75)
# Labellings of equivalent atoms that are tried: more give a smaller RMSD in groups that turn alone.
MOST_LABELLINGS = 512


def conformer_positions(mol):
    """Positions of all conformers of a molecule, (K, n, 3) in Angstrom."""
    return np.array([c.GetPositions() for c in mol.GetConformers()]).reshape(-1, mol.GetNumAtoms(), 3)


def ensemble_accuracy(mol, reference, generated, requested):
    """Compare generated conformers with a reference ensemble, in the torsional-diffusion protocol.

    With R_rg the heavy-atom RMSD of reference r and generated g after superposition, equivalent atoms by the best
    label (RDKit's ``GetBestRMS``; 512 labellings at most, which ``labels_complete`` tells), recall takes for each
    reference the minimum over generated ones, precision for each generated one the minimum over references; the mean
    and maximum in place of the minimum are CoarsenConf's.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
    reference : array, shape (K, n, 3)
        Angstrom.
    generated : array, shape (G, n, 3)
        G may be 0, or fewer than requested.
    requested : int
        Conformers asked for, 2 K in the protocol. Those that are missing count as not covered in precision.

    Returns
    -------
    dict of str to float
        ``coverage_recall_0.75`` and so on (shares), ``amr_recall``, ``amr_recall_mean``, ``amr_recall_max`` and the
        same of precision (Angstrom, None without conformers), ``worst``: the largest RMSD of a generated conformer
        from its nearest reference.
    """
    symmetries = heavy_symmetries(mol, MOST_LABELLINGS)
    found = {"references": len(reference), "requested": requested, "generated": len(generated)}
    found["labels_complete"] = symmetries.complete
    if not len(generated):
        shares = {f"coverage_{side}_{t}": 0.0 for side in ("recall", "precision") for t in THRESHOLDS}
        names = [f"amr_{side}{end}" for side in ("recall", "precision") for end in ("", "_mean", "_max")]
        return found | shares | dict.fromkeys([*names, "worst"])
    apart = pair_rmsd(reference, generated, symmetries)
    for side, axis, count in (("recall", 1, len(reference)), ("precision", 0, max(requested, len(generated)))):
        nearest = apart.min(axis)
        for t in THRESHOLDS:
            found[f"coverage_{side}_{t}"] = float((nearest < t).sum() / count)
        for end, values in (("", nearest), ("_mean", apart.mean(axis)), ("_max", apart.max(axis))):
            found[f"amr_{side}{end}"] = float(values.mean())
    return found | {"worst": float(apart.min(0).max())}


def crystal_accuracy(mol, crystal, generated):
    """RMSD in Angstrom of the generated conformer that is nearest to the crystal's, None if there is none.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
    crystal : array, shape (n, 3)
        Hydrogens do not count.
    generated : array, shape (G, n, 3)
    """
    if not len(generated):
        return None
    return float(pair_rmsd(crystal[None], generated, heavy_symmetries(mol, MOST_LABELLINGS)).min())
