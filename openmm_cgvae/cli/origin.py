"""What data that a training keeps in its folder were made of."""

from pathlib import Path

from openmm_cgvae.cli.paths import named_files
from openmm_cgvae.core.fingerprint import check_same_folder, file_fingerprint
from openmm_cgvae.core.output import write_json
from openmm_cgvae.core.schema import either, entries, listing, record, text
from openmm_cgvae.io.results import read_record

__all__ = ["check_origin", "note_origin"]

# Arguments of `add_reference` that decide what becomes of the files.
SETTINGS = ("mapping", "weights", "run_frames", "stride", "salvage", "temperature", "hops", "atom_types")
ORIGIN = record({"files": either(listing(), entries(text()))}, ("files",))


def note_origin(kept, options):
    """Note beside a dataset what it was made of."""
    write_json(_beside(kept), _origin(options))


def check_origin(kept, options, what):
    """Refuse a dataset that was made of other files or with other settings than are given (`SettingsError`)."""
    noted = _beside(kept)
    stored = {"files": None}
    if noted.exists():
        stored = read_record(noted, ORIGIN, "note of what data are of", "'openmm-cgvae train'")
    if isinstance(stored["files"], list):
        # By an older version, which noted sizes.
        del stored["files"]
    check_same_folder(_origin(options), stored, kept, "give another folder", f"{what} (see {noted})")


def _beside(kept):
    return Path(kept).with_suffix(".json")


def _origin(options):
    """Every file by its content, those in folders and lists too, and the settings."""
    paths = {path for name in ("trajectories", "top", "mapping") for path in named_files(getattr(options, name))}
    files = sorted(file for path in paths for file in (path.iterdir() if path.is_dir() else [path]))
    hashes = {str(file): file_fingerprint(file) for file in files if file.is_file()}
    return {"files": hashes, **{name: getattr(options, name) for name in SETTINGS}}
