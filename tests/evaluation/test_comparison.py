"""Comparing a CG run with MD: at the floor for MD's own beads, far above it for another ensemble."""

import numpy as np
import pytest

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.core.errors import DataError, PositionsError
from openmm_cgvae.evaluation.comparison import reference_divergence


@pytest.fixture(scope="module")
def bundled():
    """A trained model: an untrained one has no torsions to compare."""
    return Backmapper.load("alanine-dipeptide-3")


@pytest.fixture(scope="module")
def own(bundled, reference):
    return reference_divergence(bundled, bundled.mapping.project(reference[0]), *reference)


def test_beads_of_the_md_itself_are_at_the_floor(own):
    # Omega and the caps have no kinds of their own; alanine dipeptide has no side chain.
    assert list(own) == ["bead_distances", "backbone", "rotatable_hydrogen"]
    for name, found in own.items():
        assert found["floor"] > 0, name
        assert found["divergence"] < 1.5 * found["floor"], name


def test_another_ensemble_is_far_from_it(bundled, reference, own):
    beads = bundled.mapping.project(reference[0])
    # Always the same few frames.
    found = reference_divergence(bundled, beads[np.arange(200) % 3], *reference)
    assert found["bead_distances"]["divergence"] > 2 * own["bead_distances"]["divergence"]
    wider = reference_divergence(bundled, 1.1 * beads, *reference)
    assert wider["bead_distances"]["divergence"] > 3 * wider["bead_distances"]["floor"]


def test_the_seed_decides_and_one_run_is_cut_into_blocks(bundled, reference):
    beads = bundled.mapping.project(reference[0][::4])
    first, again, blocks = (
        reference_divergence(bundled, beads, reference[0], runs, seed=3)
        for runs in (reference[1], reference[1], np.zeros(200))
    )
    assert first == again
    assert blocks["backbone"]["floor"] > 0


def test_what_does_not_fit_is_refused(bundled, reference):
    with pytest.raises(PositionsError, match=r"\(3, 3\)"):
        reference_divergence(bundled, np.zeros((4, 5, 3)), *reference)
    with pytest.raises(DataError, match="at least 2"):
        reference_divergence(bundled, bundled.mapping.project(reference[0]), reference[0][:1])
