"""The shapes of residues measured on one chain that has all twenty types."""

import numpy as np
import pytest
from proteinchains import LETTERS, all_types

from openmm_cgvae.metrics import residueshapes
from openmm_cgvae.metrics.vectors import distance
from openmm_cgvae.preparation.shapesurvey import measure_shapes, write_shapes


def test_a_survey_of_one_chain_returns_its_own_means(tmp_path, monkeypatch):
    types, atoms, mask, connected = all_types()
    shapes = measure_shapes([(types, atoms, mask, connected)] * 2)
    alanine = LETTERS.index("A")
    lengths = distance(atoms[types == alanine, 0], atoms[types == alanine, 1])
    assert shapes.bonds[alanine, :5].tolist() == [[0, 1], [1, 2], [1, 4], [2, 3], [-1, -1]]
    assert shapes.bond_lengths[alanine, 0] == pytest.approx(lengths.mean())
    assert shapes.bond_spreads[alanine, 0] == pytest.approx(lengths.std())
    # N-CA-C, N-CA-CB, C-CA-CB, CA-C-O.
    assert sorted(shapes.angles[alanine, :5].tolist()) == [[-1] * 3, [0, 1, 2], [0, 1, 4], [1, 2, 3], [2, 1, 4]]
    path = tmp_path / "shapes.npz"
    write_shapes(shapes, path)
    monkeypatch.setattr(residueshapes, "FILE", path)
    read = residueshapes.residue_shapes.__wrapped__()
    assert read.bond_lengths == pytest.approx(shapes.bond_lengths, rel=1e-6)
    assert (read.angles == shapes.angles).all()


def test_every_bin_that_a_chain_visits_holds_a_share_of_it():
    types, atoms, mask, connected = all_types()
    shapes = measure_shapes([(types, atoms, mask, connected)])
    tryptophan = LETTERS.index("W")
    # Residues in bins no more populated than the fullest one are all of them.
    assert shapes.rotamers[tryptophan].max() == pytest.approx(1)
    assert np.allclose(shapes.rotamers[LETTERS.index("G")], 1)
    assert shapes.ramachandran.max(axis=(1, 2)) == pytest.approx(1)
