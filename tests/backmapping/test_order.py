"""Beads in another order than the model's are told by their distances, where no names tell it."""

import itertools

import numpy as np
import pytest
from conftest import untrained_file

from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.order import BeadOrder
from openmm_cgvae.core.errors import PositionsError

OWN = (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def beads(five_beads, reference):
    return five_beads.project(reference[0][:50])


@pytest.fixture(scope="module")
def order(five_bead_dataset, five_beads):
    return BeadOrder(5, five_beads.bead_bonds, five_bead_dataset.description["potential"])


def test_every_other_order_of_real_beads_is_told_but_the_reverse(order, beads):
    assert order.fault(beads) is None
    assert order.scores(beads).min() > 0.9
    missed = [other for other in itertools.permutations(OWN) if order.fault(beads[:, list(other)]) is None]
    # Both ends of this molecule are alike.
    assert missed == [OWN, OWN[::-1]]


def test_beads_of_another_force_field_are_taken(order, beads):
    """Bonds 5 % longer, and twice as soft as any molecule has them."""
    other = 1.05 * beads + np.random.default_rng(1).normal(scale=0.015, size=beads.shape)
    assert order.fault(other) is None
    assert order.fault(other[:, [0, 2, 1, 3, 4]]) is not None


def test_a_backmapper_refuses_them_and_says_which(five_bead_dataset, beads):
    backmapper = Backmapper(untrained_file(five_bead_dataset))
    with pytest.raises(PositionsError, match=r"frame 0 are not those .*: beads 1 and 2 in each other's place would be"):
        backmapper.sample(beads[:, [0, 2, 1, 3, 4]], seed=1)
    apart = beads.copy()
    apart[7] += 2.0 * np.arange(5)[:, None]
    with pytest.raises(PositionsError, match=r"frame 7 are not those .*: beads \d and \d are [\d.]+ nm apart"):
        backmapper.sample(apart, seed=1)


def test_scores_by_hand():
    terms = {
        "beads": [[0, 1], [0, 2], [1, 2], [0, 3]],
        "tables": [0, 1, 0, 1],
        "lower": [0.4, 0.6],
        "upper": [0.6, 1.0],
    }
    order = BeadOrder(4, np.array([[0, 1], [1, 2]]), {"distances": terms})
    # Bead 3 is bonded to none.
    assert order.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    line = np.array([[[0, 0, 0], [0.5, 0, 0], [1.2, 0, 0], [9, 9, 9]]])
    # 0.5 is at the middle of 0.4 to 0.6, 1.2 two half ranges from that of 0.6 to 1.0, 0.7 two from 0.5.
    assert order.scores(line) == pytest.approx([1 - (0 + 4 + 4) / 3 / 9])
    assert BeadOrder(4, np.zeros((0, 2)), None).scores(line) == [1.0]
