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
    faults = {other: order.fault(beads[:, list(other)]) for other in itertools.permutations(OWN)}
    # Both ends of this molecule are alike.
    assert [other for other, fault in faults.items() if fault is None] == [OWN, OWN[::-1]]
    swaps = [other for other in faults if sum(k != bead for k, bead in enumerate(other)) == 2]
    assert all(faults[other].certain for other in swaps)


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_beads_of_another_force_field_are_taken(order, beads, scale):
    """Bonds longer or shorter, and softer than any molecule has them: 0.042 nm wide, 1,400 kJ/mol/nm^2 at 300 K."""
    for seed in range(20):
        other = scale * beads + np.random.default_rng(seed).normal(scale=0.03, size=beads.shape)
        faults = [order.fault(some) for some in (other, other[:3], *other[:, None])]
        assert not [fault for fault in faults if fault and fault.certain]
        assert "beads 1 and 2" in order.fault(other[:, [0, 2, 1, 3, 4]]).text
    assert order.fault(scale * beads) is None


@pytest.mark.parametrize(("factor", "words"), [(10, "Angstrom taken for nm"), (0.1, "nm taken for Angstrom")])
def test_beads_in_another_unit_are_told(order, beads, factor, words):
    for some in (beads, beads[:1]):
        fault = order.fault(factor * some)
        assert fault.certain and words in fault.text


def test_what_is_doubtful_is_warned_of_once_and_sampled(five_bead_dataset, beads, caplog):
    backmapper, other = Backmapper(untrained_file(five_bead_dataset)), 1.2 * beads
    for _ in range(2):
        backmapper.sample(other, seed=1)
    assert caplog.text.count("may not be in the model's order") == 1


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
    assert order.fault(line) is None
    assert BeadOrder(4, np.zeros((0, 2)), None).scores(line) == [1.0]
