"""What a training starts from: its data, those it keeps in its folder, and the weights of a model."""

from pathlib import Path

from openmm_cgvae.cli.paths import named_files
from openmm_cgvae.core.fingerprint import check_same_folder, file_fingerprint
from openmm_cgvae.core.output import write_json
from openmm_cgvae.core.schema import either, entries, listing, record, text
from openmm_cgvae.io.results import read_record

__all__ = ["kept_data", "start_file"]

# Arguments of `add_reference` that decide what becomes of the files.
SETTINGS = ("mapping", "weights", "run_frames", "stride", "salvage", "temperature", "hops", "atom_types")
ORIGIN = record({"files": either(listing(), entries(text()))}, ("files",))


def kept_data(options, path, load, read):
    """Load the data of a training, or those of the same files that its folder keeps.

    Parameters
    ----------
    options : argparse.Namespace
        Of `add_reference`.
    path : path
        Where what is not given packed is kept, so that the command, repeated, need not read the files again.
    load, read : callable
        Make data of the options, and read what was kept.

    Returns
    -------
    data : Dataset or PackedChains
    keep : callable
        To be called once there is a training to keep them for.

    Raises
    ------
    SettingsError
        If those kept were made of other files or with other settings than are given.
    """
    if path.exists() and not _is_packed(options):
        noted = _beside(path)
        stored = {"files": None}
        if noted.exists():
            stored = read_record(noted, ORIGIN, "note of what data are of", "'openmm-cgvae train'")
        if isinstance(stored["files"], list):
            # By an older version, which noted sizes.
            del stored["files"]
        what = f"was made of other trajectories or with other settings (see {noted})"
        check_same_folder(_origin(options), stored, path, "give another folder", what)
        return read(path), lambda: None
    data = load(options)

    def keep():
        if not _is_packed(options):
            data.save(path)
            write_json(_beside(path), _origin(options))

    return data, keep


def _is_packed(options):
    """Whether the data were made before, by ``prepare`` or ``sample-conformers``."""
    return options.trajectories[0].endswith(".npz")


def start_file(name_or_path):
    """The model file to start from, None of none."""
    if name_or_path is None:
        return None
    from openmm_cgvae.io.bundled import resolve_model
    from openmm_cgvae.io.modelfile import ModelFile

    return ModelFile.load(resolve_model(name_or_path))


def _beside(kept):
    return Path(kept).with_suffix(".json")


def _origin(options):
    """Every file by its content, those in folders and lists too, and the settings."""
    paths = {path for name in ("trajectories", "top", "mapping") for path in named_files(getattr(options, name))}
    files = sorted(file for path in paths for file in (path.iterdir() if path.is_dir() else [path]))
    hashes = {str(file): file_fingerprint(file) for file in files if file.is_file()}
    return {"files": hashes, **{name: getattr(options, name) for name in SETTINGS}}
