import json

import numpy as np
import pytest

from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.evaluation.evaluate import evaluate
from openmm_cgvae.metrics.diversity import move_to_beads, nearest_frames

NAMED = {
    "md_energy_per_atom_after_kj_mol",
    "runs",
    "angle_w1_rad_floor",
    "ramachandran_js_floor",
    "md_energy_per_atom_before_kj_mol",
    "recon_rmsd_all_permuted_angstrom",
    "torsion_js_backbone",
    "torsion_js_rotatable_hydrogen",
    "ramachandran_js",
    "recon_rmsd_heavy_angstrom",
    "cg_consistency_max_nm",
    "seed",
    "energy_per_atom_before_kj_mol",
    "angle_w1_rad",
    "lambda_heavy",
    "torsion_js_side_chain",
    "frames_per_second",
    "valid_ratio_all",
    "bond_w1_nm_floor",
    "torsions",
    "recon_rmsd_all_angstrom",
    "valid_ratio_heavy",
    "tica_js",
    "clash_ratio",
    "torsion_js_side_chain_floor",
    "torsion_js_rotatable_hydrogen_floor",
    "frames",
    "energy_per_atom_after_kj_mol",
    "samples",
    "chirality_ratio",
    "lambda_all",
    "gen_rmsd_all_angstrom",
    "minimize_failed_ratio",
    "tica_js_floor",
    "cis_trans_ratio",
    "torsion_js_backbone_floor",
    "gen_rmsd_heavy_angstrom",
    "diversity_ratio",
    "bond_w1_nm",
}


class Oracle:
    """Returns given structures for the frames asked for."""

    def __init__(self, backmapper, structures, rebuilt):
        self.mapping, self.topology = backmapper.mapping, backmapper.topology
        self.n_atoms, self.n_beads = backmapper.n_atoms, backmapper.n_beads
        self.structures, self.rebuilt = structures, rebuilt

    def sample(self, cg_positions, n_samples=1, seed=None, frames=None):
        frames = np.arange(len(cg_positions)) if frames is None else frames
        return self.structures[frames, :n_samples]

    def reconstruct(self, positions):
        return self.rebuilt

    def unbounded(self):
        return None


@pytest.fixture(scope="module")
def untrained(backmapper, reference):
    return evaluate(backmapper, *reference, n_samples=2, n_minimized=3, progress=False)


def test_every_figure_is_there_and_can_be_stored(untrained):
    assert set(untrained) >= NAMED
    assert json.loads(json.dumps(untrained, allow_nan=False)) == untrained
    assert untrained["frames"] == 200 and untrained["runs"] == 8 and untrained["samples"] == 2
    assert untrained["torsion_js_side_chain"] is None
    assert untrained["cg_consistency_max_nm"] < 1e-6
    assert untrained["valid_ratio_all"] < 1 < untrained["recon_rmsd_all_angstrom"] * 10


def test_same_seed_same_figures(untrained, backmapper, reference):
    again = evaluate(backmapper, *reference, n_samples=2, minimize=False, progress=False)
    del again["frames_per_second"]
    assert {name: untrained[name] for name in again} == again


def test_the_reference_itself_is_perfect(backmapper, reference):
    positions, runs = reference
    oracle = Oracle(backmapper, np.repeat(positions[:, None], 2, axis=1), positions)
    found = evaluate(oracle, positions, runs, n_samples=2, n_minimized=3, progress=False)
    for name in ("recon_rmsd_heavy", "recon_rmsd_all", "recon_rmsd_all_permuted", "gen_rmsd_heavy", "gen_rmsd_all"):
        assert found[f"{name}_angstrom"] == 0
    for name in ("lambda_heavy", "lambda_all", "clash_ratio", "bond_w1_nm", "angle_w1_rad"):
        assert found[name] == pytest.approx(0, abs=1e-12)
    for name in ("valid_ratio_heavy", "valid_ratio_all", "chirality_ratio", "cis_trans_ratio"):
        assert found[name] == 1
    for name in ("torsion_js_backbone", "torsion_js_rotatable_hydrogen", "ramachandran_js", "tica_js"):
        assert found[name] <= found[f"{name}_floor"]
    for moment in ("before", "after"):
        name = f"energy_per_atom_{moment}_kj_mol"
        assert found[name] == found[f"md_{name}"]
    assert found["energy_per_atom_after_kj_mol"] < found["energy_per_atom_before_kj_mol"]
    assert found["cg_consistency_max_nm"] < 1e-6
    assert found["diversity_ratio"] is None


def test_figures_worked_out_by_hand(backmapper, reference, graph):
    positions, runs = reference
    # Frames shifted by 0.3 A; one sample in two has its last hydrogen torn off by 1 nm.
    samples = np.repeat(positions[:, None], 2, axis=1) + np.float32([0.03, 0, 0])
    hydrogen = graph.equivalent_hydrogens[-1, -1]
    samples[:, 1, hydrogen] += np.float32([0, 0, 1])
    rebuilt = positions + np.float32([0, 0.02, 0])
    found = evaluate(Oracle(backmapper, samples, rebuilt), positions, runs, n_samples=2, minimize=False, progress=False)
    assert found["recon_rmsd_all_angstrom"] == pytest.approx(0.2, abs=1e-4)
    # Only valid samples count, and the heavy atoms of both are.
    assert found["gen_rmsd_all_angstrom"] == pytest.approx(0.3, abs=1e-4)
    assert found["gen_rmsd_heavy_angstrom"] == pytest.approx(0.3, abs=1e-4)
    assert (found["valid_ratio_heavy"], found["valid_ratio_all"]) == (1, 0.5)
    # One of 21 bonds is missing in half of the samples.
    assert found["lambda_all"] == pytest.approx(0.5 / 21)
    # The bead with the torn hydrogen is off by its weight of 1 nm and 0.03 nm across.
    weight = backmapper.mapping.matrix[:, hydrogen].max()
    assert found["cg_consistency_max_nm"] == pytest.approx(np.hypot(weight, 0.03), abs=1e-5)
    assert "energy_per_atom_after_kj_mol" not in found


def turned_about_omega(positions, graph):
    """Frames with the last omega turned by 180 degrees: what comes after C-N, as a rigid piece."""
    *_, (_, c, n, _) = graph.torsions["omega"]
    behind = [k for k in range(graph.n_atoms) if graph.bond_distances[k, n] < graph.bond_distances[k, c]]
    axis = positions[:, n] - positions[:, c]
    axis = (axis / np.linalg.norm(axis, axis=-1, keepdims=True))[:, None]
    turned, arm = positions.copy(), positions[:, behind] - positions[:, [c]]
    turned[:, behind] = positions[:, [c]] + 2 * (arm * axis).sum(-1, keepdims=True) * axis - arm
    return turned


@pytest.mark.parametrize("name", ["chirality_ratio", "cis_trans_ratio"])
def test_the_isomer_of_the_reference_frame_is_the_right_one(backmapper, reference, graph, name):
    positions, runs = reference
    mirrored = name == "chirality_ratio"
    other = positions * np.float32([1, 1, -1]) if mirrored else turned_about_omega(positions, graph)
    oracle = Oracle(backmapper, other[:, None], other)
    wrong, right = (evaluate(oracle, x, runs, n_samples=1, minimize=False, progress=False) for x in (positions, other))
    assert (wrong[name], right[name]) == (0, 1)
    assert wrong["chirality_ratio"] + wrong["cis_trans_ratio"] == 1
    assert right["diversity_ratio"] is None


def test_neighbours_of_the_reference_as_samples_have_its_distributions(backmapper, reference):
    positions, runs = reference
    beads = backmapper.mapping.project(positions.astype(float))
    nearest, _ = nearest_frames(beads, np.arange(200), runs, 4)
    fed = move_to_beads(positions[nearest], beads, backmapper.mapping)
    found = evaluate(Oracle(backmapper, fed, positions), positions, runs, n_samples=4, minimize=False, progress=False)
    for name in ("torsion_js_backbone", "torsion_js_rotatable_hydrogen", "ramachandran_js", "tica_js"):
        assert found[name] < 1.2 * found[f"{name}_floor"]
    assert 0.7 < found["diversity_ratio"] < 1.3


def test_a_single_trajectory_is_cut_into_blocks(backmapper, reference):
    found = evaluate(backmapper, reference[0], n_samples=1, minimize=False, progress=False)
    assert found["runs"] == 10


def test_settings_out_of_range(backmapper, reference):
    with pytest.raises(SettingsError, match="n_samples=0"):
        evaluate(backmapper, reference[0], n_samples=0)
    with pytest.raises(DataError, match="at least 2 runs"):
        evaluate(backmapper, reference[0], np.zeros(200))
    with pytest.raises(DataError, match="at least 2 runs"):
        evaluate(backmapper, reference[0][:1])
