"""Arguments and steps of subcommands that train models of any protein."""

import zipfile
from pathlib import Path

from openmm_cgvae.core.errors import SettingsError

__all__ = ["MAPPINGS", "load_chains", "mapping_of", "of_proteins"]

MAPPINGS = ("ca", "com", "martini")
# The default of --mapping, which is of models of one molecule.
DEFAULT = "residue"


def of_proteins(options):
    """Whether the data of `add_reference` are protein chains: packed, a folder, a list, structures, or by --mapping."""
    from openmm_cgvae.preparation.atomrecords import is_structure

    paths = [Path(path) for path in options.trajectories]
    if options.mapping in MAPPINGS:
        return True
    if len(paths) == 1 and (paths[0].is_dir() or paths[0].suffix == ".txt" or _is_packed(paths[0])):
        return True
    return options.top is None and all(is_structure(path) for path in paths)


def mapping_of(options):
    """The mapping that was asked for, None if none was."""
    if options.mapping not in (*MAPPINGS, DEFAULT):
        raise SettingsError(
            f"--mapping {options.mapping} given: for models of any protein, one of {', '.join(MAPPINGS)} is expected"
        )
    return None if options.mapping == DEFAULT else options.mapping


def load_chains(options):
    """The chains that were given; see `of_proteins`."""
    from openmm_cgvae.training.chains import PackedChains

    paths = [Path(path) for path in options.trajectories]
    if len(paths) == 1 and paths[0].suffix == ".npz":
        return PackedChains.load(paths[0])
    from openmm_cgvae.preparation.packing import pack, sources_of

    return pack(sources_of(paths, options.top), options.stride, options.run_frames)


def _is_packed(path):
    try:
        return path.suffix == ".npz" and "chain_break.npy" in zipfile.ZipFile(path).namelist()
    except (OSError, zipfile.BadZipFile):
        return False
