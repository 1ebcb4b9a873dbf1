"""The minimiser lowers the energy, holds the beads, and keeps and names what it cannot mend."""

import copy
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mdtraj
import numpy as np
import openmm
import parmed
import pytest
from openmm import app, unit

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.core.errors import MinimizationError, PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.metrics import handedness, valid_graphs
from openmm_cgvae.molecule.graph import MolecularGraph
from openmm_cgvae.molecule.mapping import CGMapping, alpha_carbon_mapping, residue_mapping

PDB = Path(__file__).parents[1] / "data" / "alanine_dipeptide.pdb"
MAPPINGS = {
    "geometric": residue_mapping,
    "mass": lambda topology: residue_mapping(topology, "mass"),
    "alpha carbon": alpha_carbon_mapping,
}


@pytest.fixture(scope="module")
def reference():
    return mdtraj.load(PDB)


@pytest.fixture(scope="module")
def graph(reference):
    return MolecularGraph.from_topology(reference.topology)


@pytest.fixture(scope="module")
def mapping(reference):
    return residue_mapping(reference.topology)


@pytest.fixture(scope="module")
def minimizer(mapping):
    return Minimizer(mapping)


@pytest.fixture(scope="module")
def noisy(reference):
    """Eight frames, 0.02 nm off per coordinate, shape (8, 22, 3)."""
    noise = np.random.default_rng(0).normal(size=(8, reference.n_atoms, 3))
    return reference.xyz[0].astype(float) + 0.02 * noise


@pytest.fixture(scope="module")
def prmtop(reference, tmp_path_factory):
    """amber14 parameters of the molecule, written as an Amber prmtop."""
    topology = reference.topology.to_openmm()
    system = app.ForceField("amber14-all.xml").createSystem(topology)
    path = tmp_path_factory.mktemp("amber") / "alanine_dipeptide.prmtop"
    parmed.openmm.load_topology(topology, system).save(str(path))
    return path


def energies(topology, positions, *files):
    """Energies in kJ/mol of a System made here, without any restraint, shape (frames,)."""
    system = app.ForceField(*files).createSystem(topology, constraints=None)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    values = []
    for frame in positions:
        context.setPositions(frame)
        state = context.getState(energy=True)
        values.append(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))
    return np.array(values)


@pytest.mark.parametrize("kind", MAPPINGS)
def test_lowers_the_energy_and_holds_the_beads(kind, reference, graph, noisy):
    mapping = MAPPINGS[kind](reference.topology)
    result = Minimizer(mapping).minimize(noisy)
    assert not result.failed.any() and result.reason == ("",) * len(noisy)
    assert (result.energy_after < result.energy_before - 500).all()
    off = np.linalg.norm(mapping.project(result.positions) - mapping.project(noisy), axis=-1)
    assert off.max() < 0.005
    assert not valid_graphs(noisy, graph).all()
    assert valid_graphs(result.positions, graph).all()
    assert (handedness(result.positions, graph) == handedness(reference.xyz, graph)).all()


def test_moves_the_beads_to_where_they_are_wanted(mapping, minimizer, noisy):
    beads = mapping.project(noisy) + 0.03 * np.random.default_rng(1).normal(size=(1, 3, 1))
    result = minimizer.minimize(noisy, beads)
    assert not result.failed.any()
    assert np.linalg.norm(mapping.project(result.positions) - beads, axis=-1).max() < 0.005


def test_one_frame_of_beads_serves_many_structures(minimizer, mapping, reference, noisy):
    result = minimizer.minimize(noisy, mapping.project(reference.xyz[0]))
    assert np.abs(mapping.project(result.positions) - mapping.project(reference.xyz[0])).max() < 0.005
    with pytest.raises(PositionsError, match="beads of 3 frames given for positions of 8"):
        minimizer.minimize(noisy, mapping.project(noisy[:3]))


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_energies_are_those_of_the_force_field_alone(platform, mapping, noisy):
    beads = mapping.project(noisy) + 0.005
    result = Minimizer(mapping, platform=platform).minimize(noisy, beads)
    expected = [energies(mapping.topology, x, "amber14-all.xml") for x in (noisy, result.positions)]
    np.testing.assert_allclose([result.energy_before, result.energy_after], expected, rtol=1e-5, atol=0.01)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_serial_equals_batched_to_the_bit(platform, mapping, noisy):
    batch = noisy.copy()
    batch[2] *= 100
    batch[4, 1] = batch[4, 0]
    whole = Minimizer(mapping, platform=platform).minimize(batch)
    minimizer = Minimizer(mapping, platform=platform)
    serial = [minimizer.minimize(frame) for frame in batch[::-1]][::-1]
    assert (whole.positions == np.stack([one.positions for one in serial])).all()
    assert np.array_equal(whole.energy_after, np.concatenate([one.energy_after for one in serial]), equal_nan=True)
    assert whole.reason == sum((one.reason for one in serial), ())


@pytest.mark.parametrize("settings", [{}, {"platform": "CPU"}, {"implicitSolvent": "OBC2", "maxIterations": 5}])
def test_the_number_of_workers_does_not_matter(settings, mapping, noisy):
    batch = noisy.copy()
    batch[3, 10] = batch[3, 20]
    serial, parallel = (Minimizer(mapping, workers=n, **settings).minimize(batch) for n in (1, 3))
    assert (parallel.positions == serial.positions).all()
    assert np.array_equal(parallel.energy_after, serial.energy_after, equal_nan=True)
    assert parallel.reason == serial.reason and parallel.reason[3]


def test_may_be_used_from_several_threads_at_once(minimizer, noisy):
    expected = minimizer.minimize(noisy).positions
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(minimizer.minimize, [noisy] * 3))
    assert all((result.positions == expected).all() for result in results)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_keeps_and_names_frames_beyond_repair(platform, mapping, noisy, caplog):
    batch = noisy[:5].copy()
    batch[1] *= 100
    batch[3, 10] = batch[3, 20]
    with caplog.at_level(logging.WARNING, "openmm_cgvae"):
        result = Minimizer(mapping, platform=platform).minimize(batch)
    assert result.failed.tolist() == [False, True, False, True, False]
    assert (result.positions[[1, 3]] == batch[[1, 3]]).all()
    assert "bond graph" in result.reason[1] and result.reason[3]
    assert (result.energy_after[[0, 2, 4]] < result.energy_before[[0, 2, 4]] - 500).all()
    assert np.array_equal(result.energy_after[result.failed], result.energy_before[result.failed], equal_nan=True)
    assert len(caplog.records) == 1
    assert "2 of 5 frames kept unminimised; frame 1" in caplog.text


def test_a_mirror_image_stays_one_and_fails_against_a_reference(mapping, graph, reference, noisy, minimizer):
    mirrored = noisy * [-1, 1, 1]
    result = minimizer.minimize(mirrored)
    assert not result.failed.any()
    assert (handedness(result.positions, graph) == handedness(mirrored, graph)).all()
    strict = Minimizer(mapping, handedness=handedness(reference.xyz, graph))
    result = strict.minimize(np.concatenate([noisy[:1], mirrored]))
    assert result.failed.tolist() == [False] + [True] * len(mirrored)
    assert (result.positions[1:] == mirrored).all()
    assert set(result.reason[1:]) == {"handedness is wrong at ALA2 CA"}


def test_beads_that_are_not_held_are_a_failure(mapping, noisy):
    result = Minimizer(mapping, restraint=10.0).minimize(noisy)
    assert result.failed.any()
    assert (result.positions[result.failed] == noisy[result.failed]).all()
    assert all(r.startswith("a bead is 0.0") for r in result.reason if r)


def test_returns_the_shape_and_precision_given(minimizer, noisy):
    single = minimizer.minimize(noisy[0].astype(np.float32))
    assert single.positions.shape == (22, 3) and single.positions.dtype == np.float32
    assert single.energy_after.shape == (1,)
    quantity = minimizer.minimize(unit.Quantity(10 * noisy[0], unit.angstrom))
    np.testing.assert_allclose(quantity.positions, single.positions, atol=1e-3)
    assert minimizer.minimize(noisy[:0]).positions.shape == (0, 22, 3)


def test_far_from_the_origin_is_as_good(mapping, noisy):
    minimizer = Minimizer(mapping, platform="CPU")
    near, far = minimizer.minimize(noisy), minimizer.minimize(noisy + 1000.0)
    assert not far.failed.any()
    np.testing.assert_allclose(far.positions - 1000.0, near.positions, atol=1e-3)


def test_prmtop_gives_the_energy_of_the_force_field(mapping, minimizer, prmtop, noisy):
    expected = minimizer.minimize(noisy)
    for forcefield in (prmtop, str(prmtop), parmed.load_file(str(prmtop))):
        result = Minimizer(mapping, forcefield).minimize(noisy)
        assert not result.failed.any()
        # ParmEd and OpenMM differ in the eighth digit of the unit conversions, and the file keeps as many.
        np.testing.assert_allclose(result.energy_before, expected.energy_before, rtol=1e-5, atol=0.02)
        np.testing.assert_allclose(result.energy_after, expected.energy_after, atol=0.5)


def test_implicit_solvent_changes_the_energy(mapping, minimizer, prmtop, noisy):
    frame = noisy[:1]
    vacuum = minimizer.minimize(frame)
    obc = Minimizer(mapping, implicitSolvent="OBC2").minimize(frame)
    expected = energies(mapping.topology, obc.positions, "amber14-all.xml", "implicit/obc2.xml")
    np.testing.assert_allclose(obc.energy_after, expected, atol=0.01)
    assert obc.energy_before[0] < vacuum.energy_before[0] - 20
    amber = Minimizer(mapping, prmtop, implicitSolvent=app.GBn2).minimize(frame)
    assert not amber.failed.any() and amber.energy_before[0] < vacuum.energy_before[0] - 20


def test_takes_a_force_field_of_ones_own(mapping, noisy):
    forcefield = app.ForceField("amber14-all.xml", "implicit/obc2.xml")
    own = Minimizer(mapping, forcefield).minimize(noisy[:1])
    built_in = Minimizer(mapping, implicitSolvent="obc2").minimize(noisy[:1])
    assert (own.positions == built_in.positions).all()
    with pytest.raises(SettingsError, match=r"implicit/gbn2\.xml"):
        Minimizer(mapping, forcefield, implicitSolvent="GBn2")


def test_more_iterations_go_further_down(mapping, noisy):
    short, long = (Minimizer(mapping, maxIterations=n).minimize(noisy) for n in (10, 200))
    assert (long.energy_after < short.energy_after).all()


def test_platform_by_size_and_solvent(mapping, minimizer):
    assert minimizer.platform == "Reference"
    assert Minimizer(mapping, implicitSolvent="OBC2").platform == "CPU"
    assert Minimizer(mapping, platform=openmm.Platform.getPlatform("CPU")).platform == "CPU"


def altered(mapping, change):
    """A mapping of a molecule that `change` has made from the description of this one's topology."""
    description = copy.deepcopy(mapping.to_dict())
    change(description["topology"])
    return CGMapping.from_dict(description)


def rename(topology):
    topology["residues"][1][0] = "LIG"


def move_bond(topology):
    """Bind the beta carbon to the alpha hydrogen instead of the alpha carbon."""
    topology["bonds"] = [[9, 10] if sorted(bond) == [8, 10] else bond for bond in topology["bonds"]]


def swap_atoms(topology):
    atoms = topology["atoms"]
    atoms[9], atoms[10] = atoms[10], atoms[9]


def test_names_the_residue_without_parameters(mapping):
    renamed = altered(mapping, rename)
    Minimizer(renamed)  # OpenMM knows a residue by its elements and bonds, whatever its name
    with pytest.raises(MinimizationError, match=r"no parameters for LIG2: give a ForceField"):
        Minimizer(altered(renamed, move_bond))


def test_refuses_parameters_of_another_molecule(mapping, prmtop):
    structure = parmed.load_file(str(prmtop))
    with pytest.raises(TopologyMismatchError, match="19 atoms given, the mapping is of a molecule of 22"):
        Minimizer(mapping, structure["!@1-3"])
    with pytest.raises(TopologyMismatchError, match=r"atom 9 .* another element"):
        Minimizer(altered(mapping, swap_atoms), structure)
    with pytest.raises(TopologyMismatchError, match=r"atom 8 .* bonded to another"):
        Minimizer(altered(mapping, move_bond), structure)


def test_refuses_files_without_parameters(mapping, tmp_path):
    nonsense = tmp_path / "nonsense.prmtop"
    nonsense.write_text("not a prmtop\n")
    for path in (nonsense, tmp_path / "missing.prmtop", PDB):
        with pytest.raises(MinimizationError, match="prmtop"):
            Minimizer(mapping, path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"implicitSolvent": "GB-n2"}, "did you mean 'GBn2'"),
        ({"implicitSolvent": "water"}, "one of HCT, OBC1, OBC2, GBn, GBn2 is expected"),
        ({"platform": "Referense"}, "did you mean 'Reference'"),
        ({"maxIterations": -1}, "0 or more"),
        ({"tolerance": 0}, "above 0"),
        ({"restraint": "strong"}, "restraint=strong given: a number above 0"),
        ({"workers": 0}, "workers=0 given: a number above 0"),
        ({"copies": 1.5}, "a whole number is expected"),
        ({"implicitSolvent": "GBn2", "boxVectors": np.eye(3)}, "given with a box: leave out one"),
    ],
)
def test_refuses_settings(mapping, settings, message):
    with pytest.raises(SettingsError, match=message):
        Minimizer(mapping, **settings)


def test_refuses_handedness_of_another_molecule(mapping):
    with pytest.raises(TopologyMismatchError, match="1 values of 1 or -1 expected"):
        Minimizer(mapping, handedness=[1, 1])
