"""Trainers of small molecules share their folder with no other process, and say what differs from the run in it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from ligandmodels import SMALL, embedded, positions_of
from rdkit import Chem

from openmm_cgvae.core.errors import OutputError, SettingsError
from openmm_cgvae.ensembles.coarseconfig import CoarsenConfTraining
from openmm_cgvae.ensembles.coarsetraining import CoarsenConfTrainer
from openmm_cgvae.ensembles.packed import Ensemble, PackedEnsembles
from openmm_cgvae.ensembles.torsionconfig import TorsionConfig
from openmm_cgvae.ensembles.torsiontrainer import TorsionTrainer

COARSE = CoarsenConfTraining(features=8, channels=4, latent=2, encoder_layers=1, decoder_layers=1, conformers=4,
                             batch_atoms=10)  # fmt: skip
TRAINERS = [
    pytest.param(TorsionTrainer, TorsionConfig(**SMALL, conformers=8, batch_molecules=2, columns=2), id="torsions"),
    pytest.param(CoarsenConfTrainer, COARSE, id="coarsenconf"),
]


def ensembles(seed=1):
    """Two molecules, of two references and two approximate conformers each."""
    found = []
    for smiles, split in (("CCCO", "train"), ("CCOCC", "validation")):
        mol = embedded(smiles, 4, seed)
        x, elements = positions_of(mol).astype(np.float32), [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        share = np.full(2, 0.5, dtype=np.float32)
        found.append(Ensemble(Chem.MolToSmiles(Chem.RemoveHs(mol)), split, "test", "mmff94s",
                              np.array(elements, dtype=np.uint8), x[:2], np.zeros(2), share, x[2:]))  # fmt: skip
    return PackedEnsembles.packed(found)


@pytest.mark.parametrize(("kind", "config"), TRAINERS)
def test_a_folder_is_locked_while_it_is_trained_in(kind, config, tmp_path):
    first, other = (kind(ensembles(), tmp_path / "run", config) for _ in range(2))
    step, refused = first._step, []

    def stepped():
        with ThreadPoolExecutor(1) as pool:
            refused.append(pool.submit(other.run, progress=False).exception())
        return step()

    first._step = stepped
    first.run(progress=False)
    assert refused and all(isinstance(error, OutputError) for error in refused)
    assert "run is being written by" in str(refused[0])
    # It is free again, and holds the first one's training alone.
    assert kind(ensembles(), tmp_path / "run", config).seen == first.seen >= first.total
    assert other.seen == 0


@pytest.mark.parametrize(("kind", "config"), TRAINERS)
def test_the_setting_that_differs_is_named_when_a_training_is_resumed(kind, config, tmp_path):
    kind(ensembles(), tmp_path / "run", config).run(progress=False)
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    for name, value in (("seed", 7), ("learning_rate", 0.5), ("ema_decay", 0.25), ("conformers", 9)):
        expected = rf"config\.{name}={value} given, config\.{name}={getattr(config, name)} there"
        with pytest.raises(SettingsError, match=expected):
            kind(ensembles(), tmp_path / "run", replace(config, **{name: value}))
    with pytest.raises(SettingsError, match=r"data_sha256=\w+.* given, data_sha256="):
        kind(ensembles(seed=2), tmp_path / "run", config)
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
