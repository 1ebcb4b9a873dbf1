"""C-alphas of a protein, for the examples that run them."""

from openmm import app


def write_alphas(pdb, path):
    """Write the C-alphas of a PDB file; their path."""
    file = app.PDBFile(str(pdb))
    modeller = app.Modeller(file.topology, file.positions)
    known = {"MSE", *app.PDBFile._standardResidues}
    modeller.delete([a for a in file.topology.atoms() if a.name != "CA" or a.residue.name not in known])
    with open(path, "w") as out:
        app.PDBFile.writeFile(modeller.topology, modeller.positions, out, keepIds=True)
    return path
