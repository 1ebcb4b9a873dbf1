"""Bundle a model file: ``python -m openmm_cgvae.pretrained.bundle FILE NAME REFERENCE DESCRIPTION``."""

import hashlib
import json
import sys
import zipfile

from openmm_cgvae.modelfile import PRETRAINED, ModelFile, read_index

__all__ = ["bundle"]


def bundle(path, name, reference, description):
    """Copy a model file here, and note its name and what belongs to it in the index.

    Parameters
    ----------
    path : path
    name : str
    reference : str
        Trajectory beside it with held-out MD of its molecule.
    description : str
    """
    ModelFile.load(path)
    target = PRETRAINED / f"{name}.pt"
    _compress(path, target)
    entry = {
        "file": target.name,
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "reference": reference,
        "description": description,
    }
    index = read_index() | {name: entry}
    (PRETRAINED / "index.json").write_text(json.dumps(dict(sorted(index.items())), indent=1) + "\n")


def _compress(path, target):
    """Write the same archive, deflated, which torch reads as well and takes a tenth less."""
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for member in given.infolist():
            made.writestr(member.filename, given.read(member))


if __name__ == "__main__":
    bundle(*sys.argv[1:5])
