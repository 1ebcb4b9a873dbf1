"""Evaluation on many proteins, by a stand-in for a model whose samples are known."""

import numpy as np
import pytest
from proteinchains import all_types, atoms_topology, crambin

from openmm_cgvae.chemistry.aminoacids.residues import RESIDUE_NAMES
from openmm_cgvae.evaluation.proteins import evaluate_proteins, model_builder
from openmm_cgvae.proteins.chains import Chain


class Shifted:
    """Samples that are the crystal, every second by +0.1 and -0.1 nm along x."""

    def __init__(self, chain, beads):
        assert [residue.name for residue in beads.residues()] == [RESIDUE_NAMES[k] for k in chain.residue_types]
        self.chain = chain
        self.topology, self.rows = atoms_topology(chain)

    def sample(self, beads, n_samples, seed):
        assert np.allclose(beads[0] * 10, self.chain.atoms[:, 1])
        shifts = np.where(np.arange(n_samples) % 2, -0.1, 0.1)[:, None, None] * [1, 0, 0]
        return (self.chain.atoms[tuple(self.rows)] / 10 + shifts)[None]


def test_a_model_is_measured_on_every_chain_by_its_first_sample_and_all_of_them():
    chains = [Chain("1ejg", *crambin()), Chain("5k6d", *all_types())]
    todo = iter(chains)
    summary = evaluate_proteins(chains, model_builder(lambda beads, **given: Shifted(next(todo), beads), samples=2))
    figures = summary["figures"]
    assert (summary["chains"], summary["residues"]) == (2, 46 + 78)
    assert figures["rmsd_all"]["value"] == pytest.approx(1.0)  # 0.1 nm
    assert figures["rmsd_best"]["value"] == pytest.approx(1.0)
    assert figures["diversity"]["value"] == pytest.approx(-1)  # samples are 2 Angstrom apart
    assert figures["chi1_20"]["value"] == 1
    assert figures["missing_atoms"]["sum"] == 0
    assert figures["bead_shift"]["value"] == pytest.approx(1.0)
    assert figures["residues_per_second"]["value"] > 0


def test_a_chain_that_is_left_out_does_not_count():
    chains = [Chain("1ejg", *crambin()), Chain("5k6d", *all_types())]
    known = {"5k6d": (chains[1].atoms[None], chains[1].mask, None)}
    summary = evaluate_proteins(chains, lambda chain: known.get(chain.name))
    assert (summary["chains"], summary["residues"]) == (1, 78)
    assert "residues_per_second" not in summary["figures"]
    assert evaluate_proteins(chains[:1], lambda chain: None) is None
