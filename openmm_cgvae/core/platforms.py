"""Names of the available OpenMM platforms."""

import openmm

__all__ = ["installed_platforms"]


def installed_platforms():
    """Names of the platforms that this OpenMM has, a list of str."""
    return [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
