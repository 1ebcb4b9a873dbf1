"""``openmmml.MLPotential("openmm-cgvae", modelPath=...)``: the entry point.

openmm-ml imports this module whenever it is imported: what is heavy waits until it is asked for.
"""

from openmm_cgvae.core.errors import SettingsError

__all__ = ["CGPotentialFactory"]


class CGPotentialFactory:
    """Makes the `CGPotentialImpl` of a file that ``learn-forcefield`` or ``cg-forcefield`` wrote.

    It has no base of openmm-ml: whichever of the two packages is imported first, this module must be whole by itself.
    """

    def createImpl(self, name, modelPath=None, trust=False, **args):
        """Read the file; `trust` as of `LearnedPotential.load`."""
        if modelPath is None:
            raise SettingsError(f"MLPotential({name!r}) without modelPath: give the file that learn-forcefield wrote")
        from openmm_cgvae.cg.learned import load_potential
        from openmm_cgvae.cg.mlpotential import CGPotentialImpl

        return CGPotentialImpl(load_potential(modelPath, trust))
