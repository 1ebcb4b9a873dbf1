"""Package metadata; constraints.txt holds the versions that are tested."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "openmm_cgvae" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

setup(
    name="openmm_cgvae",
    version=VERSION,
    description="Backmapping of coarse-grained molecular dynamics to all atoms, inside OpenMM",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["openmm_cgvae", "openmm_cgvae.*"]),
    package_data={
        "openmm_cgvae.metrics": ["*.npz"],
        "openmm_cgvae.pretrained": ["*.pt", "*.json", "*.xtc", "*.md"],
    },
    install_requires=[
        "torch>=2.4",
        "openmm>=8.1",
        "mdtraj>=1.10",
        "parmed>=4.2",
        "numpy>=1.26",
        "scipy>=1.11",
        "rdkit>=2023.9",
        "matplotlib>=3.8",
        "tqdm>=4.65",
        "networkx>=3.0",
    ],
    extras_require={
        "torchforce": ["openmmtorch>=1.5"],
        "tica": ["deeptime>=0.4.4"],
        "test": ["pytest>=9", "pytest-xdist>=3.8", "ruff>=0.6", "deeptime>=0.4.4"],
    },
    entry_points={"console_scripts": ["openmm-cgvae = openmm_cgvae.cli.main:main"]},
)
