"""What the data of a training are: reference MD of one molecule, protein chains, or ensembles of small molecules."""

import zipfile
from pathlib import Path

from openmm_cgvae.core.errors import SettingsError

__all__ = ["MAPPINGS", "load_chains", "mapping_of", "of_ligands", "of_proteins"]

MAPPINGS = ("ca", "com", "martini")
# The default of --mapping, which is of models of one molecule.
DEFAULT = "residue"


def of_proteins(options):
    """Whether the data of `add_reference` are protein chains: packed, a folder, a list, structures, or by --mapping."""
    from openmm_cgvae.preparation.atomrecords import is_structure

    paths = [Path(path) for path in options.trajectories]
    if options.mapping in MAPPINGS:
        return True
    if len(paths) == 1 and (paths[0].is_dir() or paths[0].suffix == ".txt" or _holds(paths[0], "chain_break")):
        return True
    return options.top is None and all(is_structure(path) for path in paths)


def of_ligands(options):
    """Whether they are an archive of conformer ensembles, as ``sample-conformers`` makes."""
    return len(options.trajectories) == 1 and _holds(Path(options.trajectories[0]), "approximate_positions")


def mapping_of(options):
    """The mapping that was asked for, None if none was."""
    if options.mapping not in (*MAPPINGS, DEFAULT):
        raise SettingsError(
            f"--mapping {options.mapping} given: for models of any protein, one of {', '.join(MAPPINGS)} is expected"
        )
    return None if options.mapping == DEFAULT else options.mapping


def load_chains(options):
    """The chains that were given; see `of_proteins`."""
    from openmm_cgvae.proteins.chains import PackedChains

    paths = [Path(path) for path in options.trajectories]
    if len(paths) == 1 and paths[0].suffix == ".npz":
        return PackedChains.load(paths[0])
    from openmm_cgvae.preparation.packing import pack, sources_of

    return pack(sources_of(paths, options.top), options.stride, options.run_frames)


def _holds(path, array):
    """Whether a path is an archive with an array of this name."""
    try:
        return path.suffix == ".npz" and f"{array}.npy" in zipfile.ZipFile(path).namelist()
    except (OSError, zipfile.BadZipFile):
        return False
