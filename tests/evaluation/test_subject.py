import numpy as np
import pytest
from conftest import DATA

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.evaluation.measures import molecule_figures, protein_means
from openmm_cgvae.evaluation.subject import of_model, of_structures
from openmm_cgvae.evaluation.surprise import bead_surprise, beyond_training, residue_surprise
from openmm_cgvae.io.thinning import read_structures, thinned
from openmm_cgvae.metrics import structure_summary
from openmm_cgvae.preparation.crystalchains import chains_of_file


def test_structures_are_read_evenly_and_by_frames(topology, reference):
    structures, frames = read_structures([DATA / "alanine_dipeptide.xtc"], topology, most=40, n_samples=4)
    assert structures.shape == (10, 4, 22, 3)
    np.testing.assert_array_equal(frames, thinned(50, 10))
    np.testing.assert_allclose(structures[3, 2], reference[0][4 * frames[3] + 2], atol=1e-6)
    with pytest.raises(DataError, match="no multiple of the 3"):
        read_structures([DATA / "alanine_dipeptide.xtc"], topology, n_samples=3)


def test_md_itself_scores_what_a_perfect_model_would(reference, topology, graph):
    subject = of_structures(topology.to_openmm(), reference[0], reference=reference[0], runs=reference[1])
    figures = molecule_figures(subject)
    assert (
        figures["valid_ratio_all"] == structure_summary(reference[0], graph, subject.reference_signs)["valid_ratio_all"]
    )
    assert figures["torsion_js_backbone"] <= figures["torsion_js_backbone_floor"]
    assert figures["bond_w1_nm"] == 0.0
    assert figures["diversity_ratio"] is None, "the beads of two frames are never the same"


def test_samples_belong_to_the_frames_their_beads_are_of(backmapper, reference):
    subject = of_model(backmapper, *reference, n_frames=20, n_samples=3)
    assert subject.structures.shape == (20, 3, 22, 3)
    projected = subject.mapping.project(subject.structures[:, 1])
    np.testing.assert_allclose(projected, subject.mapping.project(reference[0][subject.origin]), atol=1e-5)
    assert protein_means(subject) == {}


def test_beads_of_the_training_data_are_less_surprising_than_others(backmapper, reference):
    beads = backmapper.mapping.project(reference[0])
    potential = backmapper.cg_potential()
    usual, odd = (bead_surprise(potential, x) for x in (beads, 1.3 * beads))
    assert usual.shape == (200, 3) and (usual >= 0).all()
    assert np.median(odd) > 5 * np.median(usual)
    assert beyond_training(potential, beads).mean() < 0.2
    assert beyond_training(potential, 1.3 * beads).all()


def test_residues_of_a_crystal_are_common_and_turned_ones_rare():
    (chain,), _ = chains_of_file(DATA / "5k6d.pdb")
    given = chain.residue_types, chain.mask, chain.connected
    atoms = np.stack([chain.atoms, chain.atoms * [-1, 1, 1]]).astype(float)
    usual, mirrored = residue_surprise(given[0], atoms, *given[1:])
    assert np.median(usual) < 1.0 and np.median(mirrored) > 2.0
    assert usual.max() <= 4
