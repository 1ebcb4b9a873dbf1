"""The bundled models by name."""

import hashlib
import json
from difflib import get_close_matches
from pathlib import Path

from openmm_cgvae.core.errors import ModelFileError, SettingsError

__all__ = ["PRETRAINED", "bundled_file", "pretrained_names", "read_index", "released_digests", "resolve_model"]

PRETRAINED = Path(__file__).parents[1] / "pretrained"


def pretrained_names():
    """Names and descriptions of the bundled models, a dict."""
    return {name: entry["description"] for name, entry in read_index().items()}


def read_index():
    """The bundled models: name to file, SHA-256 and description."""
    path = PRETRAINED / "index.json"
    return json.loads(path.read_text()) if path.exists() else {}


def released_digests():
    """SHA-256 of the bundled model files, a set."""
    return {entry["sha256"] for entry in read_index().values()}


def bundled_file(name, entry="file"):
    """Return the path of a bundled model's ``"file"``, or of what is beside it.

    Parameters
    ----------
    name : str
    entry : {"file", "reference", "evaluation", "card"}
        Models of one molecule have a reference trajectory of it, models of any protein an evaluation and a card.

    Raises
    ------
    SettingsError
        If it is no bundled model, or has no such file.
    """
    index = {known: files for known, files in read_index().items() if entry in files}
    if name not in index:
        raise SettingsError(f"model {name} given: one of {', '.join(index)} is expected, which are bundled")
    return PRETRAINED / index[name][entry]


def resolve_model(name_or_path):
    """Find a model by the name of a bundled one, or by path.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ModelFileError
        If there is neither such a file nor such a name, or a bundled file is not the one that was released.
    """
    index = read_index()
    if str(name_or_path) in index:
        path, expected = bundled_file(str(name_or_path)), index[str(name_or_path)]["sha256"]
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise ModelFileError(f"bundled model {name_or_path} is damaged: install openmm_cgvae again")
        return path
    path = Path(name_or_path)
    if path.is_dir():
        raise ModelFileError(
            f"model {path} is a folder: give a model file, as {path / 'model.pt'} in that of a training"
        )
    if not path.exists():
        near = get_close_matches(str(name_or_path), index, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelFileError(
            f"model {name_or_path!r} is neither a file nor a bundled model ({', '.join(index) or 'none'}){hint}"
        )
    return path
