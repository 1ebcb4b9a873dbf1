"""The figures of the CGVAE paper: Tables 5 and 6 of Wang et al., ICML 2022 (appendix F.4).

Means and standard errors over 5 folds of shuffled frames of explicit-solvent MD. Lengths in Angstrom; RMSD_gen of the
deterministic baselines is given there as 0 by definition, and left out here.
"""

__all__ = ["paper_figures"]

# Residues, numbers of beads, and by metric and model, mean and standard error at each of these.
_TABLES = {
    "Table 5": (
        "ACE ALA NME",
        (3, 5, 8),
        """
        recon_rmsd_heavy_angstrom linear 1.211 0.075 0.277 0.032 0.086 0.009
        recon_rmsd_heavy_angstrom mlp    0.439 0.003 0.288 0.004 0.269 0.009
        recon_rmsd_heavy_angstrom cgvae  0.108 0.050 0.044 0.005 0.031 0.001
        lambda_heavy              linear 0.081 0.045 0.001 0.001 0.000 0.000
        lambda_heavy              mlp    0.011 0.001 0.001 0.000 0.001 0.000
        lambda_heavy              cgvae  0.000 0.000 0.000 0.000 0.000 0.000
        gen_rmsd_heavy_angstrom   cgvae  0.326 0.033 0.087 0.012 0.051 0.003
        valid_ratio_heavy         linear 0.561 0.153 0.990 0.009 1.000 0.000
        valid_ratio_heavy         mlp    0.908 0.011 0.992 0.001 0.993 0.002
        valid_ratio_heavy         cgvae  1.000 0.000 1.000 0.000 1.000 0.000
        recon_rmsd_all_angstrom   linear 1.448 0.071 0.937 0.005 0.895 0.006
        recon_rmsd_all_angstrom   mlp    0.986 0.002 0.949 0.003 0.931 0.008
        recon_rmsd_all_angstrom   cgvae  0.962 0.040 0.923 0.002 0.818 0.028
        lambda_all                linear 0.075 0.037 0.027 0.003 0.019 0.005
        lambda_all                mlp    0.015 0.001 0.011 0.001 0.012 0.002
        lambda_all                cgvae  0.000 0.000 0.000 0.000 0.000 0.000
        gen_rmsd_all_angstrom     cgvae  1.000 0.041 0.924 0.001 0.772 0.054
        valid_ratio_all           linear 0.230 0.151 0.667 0.019 0.802 0.048
        valid_ratio_all           mlp    0.732 0.015 0.808 0.023 0.790 0.038
        valid_ratio_all           cgvae  0.990 0.010 0.998 0.001 0.999 0.000
        """,
    ),
    "Table 6": (
        "ACE TYR TYR ASP PRO GLU THR GLY THR TRP TYR NME",
        (6, 10, 20, 30),
        """
        recon_rmsd_heavy_angstrom linear 2.723 0.055 1.845 0.013 1.077 0.036 0.702 0.011
        recon_rmsd_heavy_angstrom mlp    2.558 0.026 1.894 0.013 1.318 0.030 1.388 0.024
        recon_rmsd_heavy_angstrom cgvae  1.188 0.010 0.897 0.007 0.658 0.020 0.445 0.019
        lambda_heavy              linear 1.124 0.127 0.411 0.028 0.085 0.011 0.021 0.002
        lambda_heavy              mlp    0.611 0.009 0.331 0.008 0.125 0.008 0.146 0.010
        lambda_heavy              cgvae  0.027 0.001 0.006 0.001 0.002 0.000 0.001 0.000
        gen_rmsd_heavy_angstrom   cgvae  1.642 0.034 1.231 0.038 0.762 0.028 0.502 0.033
        valid_ratio_heavy         linear 0.000 0.000 0.000 0.000 0.002 0.002 0.082 0.022
        valid_ratio_heavy         mlp    0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000
        valid_ratio_heavy         cgvae  0.415 0.032 0.716 0.034 0.843 0.015 0.955 0.012
        recon_rmsd_all_angstrom   linear 3.008 0.040 2.163 0.013 1.382 0.050 0.902 0.007
        recon_rmsd_all_angstrom   mlp    2.844 0.026 2.175 0.020 1.592 0.031 1.659 0.027
        recon_rmsd_all_angstrom   cgvae  1.574 0.009 1.353 0.012 1.081 0.033 0.795 0.029
        lambda_all                linear 1.160 0.119 0.368 0.018 0.052 0.007 0.031 0.002
        lambda_all                mlp    0.588 0.006 0.286 0.005 0.081 0.005 0.098 0.011
        lambda_all                cgvae  0.020 0.001 0.010 0.001 0.008 0.002 0.010 0.000
        gen_rmsd_all_angstrom     cgvae  1.914 0.103 1.586 0.027 1.175 0.036 0.877 0.049
        valid_ratio_all           linear 0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000
        valid_ratio_all           mlp    0.000 0.000 0.000 0.000 0.000 0.000 0.000 0.000
        valid_ratio_all           cgvae  0.072 0.027 0.133 0.024 0.278 0.099 0.132 0.011
        """,
    ),
}


def paper_figures(residues):
    """What the paper reports of a molecule.

    Parameters
    ----------
    residues : sequence of str
        Residue names of the molecule, caps included.

    Returns
    -------
    table : str or None
        Its name in the paper; None of any other molecule.
    figures : dict
        (mean, standard error) by (number of beads, metric as in `evaluate`, model).
    """
    for table, (own, beads, text) in _TABLES.items():
        if own.split() == list(residues):
            rows = [line.split() for line in text.strip().splitlines()]
            values = {(metric, model): [float(number) for number in numbers] for metric, model, *numbers in rows}
            return table, {
                (n, *row): (numbers[2 * k], numbers[2 * k + 1])
                for row, numbers in values.items()
                for k, n in enumerate(beads)
            }
    return None, {}
