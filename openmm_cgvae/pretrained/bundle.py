"""Add a model file to the bundled ones: ``python -m openmm_cgvae.pretrained.bundle FILE NAME DESCRIPTION``."""

import hashlib
import json
import shutil
import sys

from openmm_cgvae.modelfile import PRETRAINED, ModelFile, read_index

__all__ = ["bundle"]


def bundle(path, name, description):
    """Copy a model file here and note its name, description and SHA-256 in the index."""
    ModelFile.load(path)
    target = PRETRAINED / f"{name}.pt"
    shutil.copyfile(path, target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    index = read_index() | {name: {"file": target.name, "sha256": digest, "description": description}}
    (PRETRAINED / "index.json").write_text(json.dumps(dict(sorted(index.items())), indent=1) + "\n")


if __name__ == "__main__":
    bundle(*sys.argv[1:4])
