"""Any protein from its beads: what is bound, sampled and written."""

import logging

import mdtraj
import numpy as np
import openmm
import pytest
from openmm import app, unit
from proteinbeads import CRYSTAL, beads, helix, pdb_lines, rows_of
from proteinchains import all_types, crambin
from proteinmodels import trace, untrained_file

from openmm_cgvae import (
    Backmapper,
    BackmapReporter,
    Minimizer,
    Model,
    SystemBackmapper,
    backmap_trajectory,
    to_atomistic_simulation,
)
from openmm_cgvae.backmapping.protein import ProteinBackmapper
from openmm_cgvae.binding.beads import read_beads
from openmm_cgvae.chemistry.aminoacids.residues import RESIDUE_NAMES
from openmm_cgvae.core.errors import PositionsError, SettingsError, TopologyMismatchError
from openmm_cgvae.io.bundled import pretrained_names
from openmm_cgvae.io.trajectory_files import TrajectoryWriter
from openmm_cgvae.preparation.structures import beads_of
from openmm_cgvae.proteins.chains import Chain


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A model file of random weights."""
    path = tmp_path_factory.mktemp("model") / "untrained-ca.pt"
    untrained_file().save(path)
    return path


@pytest.fixture(scope="module")
def model(file):
    return Model.load(file)


def chain(n=24):
    return tuple(part[:n] for part in all_types())


def record(*chains, gap=3.0):
    """C-alphas of chains, as `bind` takes them, each its own chain."""
    names = [RESIDUE_NAMES[kind] for one in chains for kind in one[0]]
    owner = np.repeat(np.arange(len(chains)), [len(one[0]) for one in chains])
    positions = np.concatenate([trace(one) + np.array([gap * k, 0, 0]) for k, one in enumerate(chains)])
    numbers = np.concatenate([np.arange(len(one[0])) + 1 for one in chains])
    return beads(names, positions, numbers, [chr(ord("A") + k) for k in owner], owner)


@pytest.fixture(scope="module")
def backmapper(model):
    return model.bind(record(chain()))


def written(path, source):
    path.write_text(pdb_lines(source))
    return path


def test_a_file_and_a_topology_make_an_all_atom_protein(file, tmp_path):
    path = written(tmp_path / "ca.pdb", record(chain()))
    backmapper = Backmapper.load(file, path)
    assert isinstance(backmapper, ProteinBackmapper)
    atoms = backmapper.sample(trace(chain()), 2, seed=1)
    assert atoms.shape == (1, 2, backmapper.n_atoms, 3)
    assert [r.name for r in backmapper.topology.residues()] == [RESIDUE_NAMES[kind] for kind in chain()[0]]
    system = app.ForceField("amber14-all.xml").createSystem(backmapper.topology)
    assert system.getNumParticles() == backmapper.n_atoms
    np.testing.assert_allclose(backmapper.mapping.project(atoms[0]), np.stack([trace(chain())] * 2), atol=1e-6)


def test_double_precision_keeps_beads_to_its_own_rounding(model):
    backmapper = model.bind(record(chain()), precision="double")
    atoms = backmapper.sample(trace(chain()), seed=1)
    assert atoms.dtype == np.float64
    np.testing.assert_allclose(backmapper.mapping.project(atoms[0])[0], trace(chain()), atol=1e-9)


def test_same_seed_same_structures_however_frames_are_split_over_calls_chunks_and_threads(model, set_torch_threads):
    """One chunk after another, frames one by one, and two threads."""
    points = trace(chain()) + np.random.default_rng(0).normal(scale=0.005, size=(5, 1, 3))
    whole = model.bind(record(chain())).sample(points, 2, seed=3)
    small = model.bind(record(chain()), chunk_size=2).sample(points, 2, seed=3)
    one = [model.bind(record(chain())).sample(points[k], 2, seed=3, frames=[k]) for k in range(5)]
    set_torch_threads(2)
    threads = model.bind(record(chain())).sample(points, 2, seed=3)
    for other in (small, np.concatenate(one), threads):
        np.testing.assert_allclose(other, whole, atol=2e-6)
    assert np.abs(model.bind(record(chain())).sample(points, 2, seed=4) - whole).max() > 0.05
    assert np.abs(whole[:, 0] - whole[:, 1]).max() > 0.05


def test_frames_whose_beads_move_leave_those_of_other_threads_alone(model, set_torch_threads):
    record = beads(["ALA"] * 8)
    own = model.bind(record, consistency="sound", chunk_size=2)
    frames = np.stack([helix(8)] * 16)
    # Every fourth frame has beads that no peptide can hold.
    frames[::4] += np.random.default_rng(0).normal(0, 0.04, frames[::4].shape)
    set_torch_threads(1)
    alone = own.sample(frames, seed=1)
    set_torch_threads(2)
    assert np.array_equal(own.sample(frames, seed=1), alone)


def test_several_chains_and_breaks_are_kept(model):
    """Residue numbers and ids too."""
    source = rows_of(record(chain(), chain(12)), [*range(10), *range(13, 36)])
    backmapper = model.bind(source)
    assert [len(list(c.residues())) for c in backmapper.topology.chains()] == [10, 11, 12]
    assert [c.id for c in backmapper.topology.chains()] == ["A", "A", "B"]
    numbers = [r.id for r in backmapper.topology.residues()]
    assert numbers == [str(number) for number in source.numbers]
    ends = [r.name for r in backmapper.topology.residues() if "OXT" in {a.name for a in r.atoms()}]
    assert len(ends) == 3
    atoms = backmapper.sample(source.positions, seed=1)
    np.testing.assert_allclose(backmapper.mapping.project(atoms[0])[0], source.positions, atol=1e-6)
    assert sum(1 for _ in backmapper.cg_topology().bonds()) == 33 - 3


def test_chains_do_not_depend_on_what_is_far_from_them(model):
    """Noise is by bead, so that the first chain has the same; its neighbours are its own."""
    both = model.bind(record(chain(), chain(12), gap=20.0))
    alone = model.bind(record(chain()))
    first = both.sample(record(chain(), chain(12), gap=20.0).positions, seed=2)
    assert np.isfinite(first).all()
    apart = both.mapping.assignment < 24
    assert apart.sum() == alone.n_atoms


def test_disulfides_are_bonded_and_may_be_refused(model):
    source = beads_of(Chain("", *crambin()))
    bonded, free = (model.bind(source[0], positions=source[1], disulfides=which) for which in ("auto", None))
    assert len(bonded.protein.disulfides) == 3
    assert bonded.n_atoms == free.n_atoms - 6
    names = [(i.name, j.name) for i, j in bonded.topology.bonds()]
    assert names.count(("SG", "SG")) == 3
    app.ForceField("amber14-all.xml").createSystem(bonded.topology)


@pytest.mark.parametrize("unknown", ["drop", "keep"])
def test_what_is_no_protein_is_dropped_or_kept_where_it_is(model, unknown):
    """Beads in between, whose rows shift those of the protein."""
    source = record(chain(), chain(12))
    names = list(source.residue_names)
    ligand = beads(["LIG", *names[:24], "LIG", *names[24:], "LIG"], np.concatenate(
        [[[-9.0, 1, 1]], source.positions[:24], [[-9.0, 2, 1]], source.positions[24:], [[-9.0, 3, 1]]]),
        chains="X" + "A" * 24 + "X" + "B" * 12 + "X", molecules=[0] + [1] * 24 + [2] + [3] * 12 + [4],
        names=["L1", *["CA"] * 24, "L2", *["CA"] * 12, "L3"])  # fmt: skip
    backmapper = model.bind(ligand, unknown=unknown)
    plain = model.bind(source)
    assert (backmapper.n_beads, backmapper.cg_topology().getNumAtoms()) == (39, 39)
    atoms = backmapper.sample(ligand.positions, seed=1)
    kept = 3 if unknown == "keep" else 0
    assert atoms.shape[2] == plain.n_atoms + kept
    if kept:
        np.testing.assert_allclose(atoms[0, 0, -3:], [[-9.0, 1, 1], [-9.0, 2, 1], [-9.0, 3, 1]], atol=1e-6)
        assert backmapper.mapping.names[0] == "L1"
    used = np.array(backmapper.cg_topology().getNumAtoms() * [True])
    used[[0, 25, 38]] = bool(kept)
    np.testing.assert_allclose(backmapper.mapping.project(atoms[0])[0], ligand.positions[used], atol=1e-6)
    bonds = [(i.index, j.index) for i, j in backmapper.cg_topology().bonds()]
    assert sorted(bonds) == [(k, k + 1) for k in [*range(1, 24), *range(26, 37)]]


def test_water_among_the_beads_is_read_and_left_out(model, tmp_path):
    """The trajectory holds all particles."""
    source = record(chain())
    watery = beads([*source.residue_names, "W", "ION"], np.concatenate([source.positions, [[5, 5, 5], [6, 6, 6]]]),
                   chains="A" * 24 + "WI", molecules=[0] * 24 + [1, 2], names=["CA"] * 24 + ["W", "NA+"])  # fmt: skip
    backmapper = model.bind(watery)
    with TrajectoryWriter(tmp_path / "cg.dcd", backmapper.cg_topology()) as writer:
        writer.write(watery.positions[None], np.zeros(1))
    backmap_trajectory(tmp_path / "cg.dcd", backmapper, tmp_path / "aa.pdb", seed=1, progress=False)
    assert mdtraj.load(tmp_path / "aa.pdb").n_atoms == model.bind(source).n_atoms


def test_molecules_over_a_periodic_box_are_made_whole(model):
    source = record(chain(), chain(12))
    backmapper = model.bind(source)
    vectors = np.diag([12.0, 12.0, 12.0])
    split = source.positions % 12.0
    assert np.abs(np.diff(split[:24], axis=0)).max() > 6
    atoms = backmapper.sample(split, seed=1, box=vectors)
    expected = backmapper.sample(source.positions, seed=1)
    shift = (atoms - expected)[0, 0]
    np.testing.assert_allclose(shift - 12 * np.round(shift / 12), 0, atol=1e-5)
    assert np.ptp(shift[backmapper.mapping.assignment < 24], axis=0).max() < 1e-5


def test_chains_may_fill_a_box_and_be_longer_than_it(model):
    """As in a condensate, and in the cell of a crystal."""
    vectors = np.diag([1.8, 1.7, 1.6])
    edges = np.diag(vectors)
    assert (np.ptp(trace(chain()), axis=0) > edges).any()
    one, two = record(chain()), record(chain(), chain(12), gap=1.5)
    for given, parts in ((one, [slice(24)]), (two, [slice(24), slice(24, None)])):
        backmapper = model.bind(given)
        made = backmapper.mapping.project(backmapper.sample(given.positions % edges, seed=1, box=vectors)[0])[0]
        for part in parts:
            shift = (made - given.positions)[part]
            np.testing.assert_allclose(shift, edges * np.round(shift[0] / edges) + np.zeros_like(shift), atol=1e-5)


def test_three_residues_are_a_chain_and_fewer_are_refused(model):
    atoms = model.bind(record(chain(3))).sample(trace(chain(3)), seed=1)
    assert np.isfinite(atoms).all()
    for n in (1, 2):
        with pytest.raises(TopologyMismatchError, match=f"a chain of {n} residues given.*3 or more are expected"):
            model.bind(record(chain(), chain(n)))


def test_representative_is_one_structure_and_a_temperature_spreads(model):
    likely = model.bind(record(chain()), representative=True)
    atoms = likely.sample(trace(chain()), 2, seed=1)
    np.testing.assert_array_equal(atoms[0, 0], atoms[0, 1])
    np.testing.assert_allclose(likely.sample(trace(chain()), seed=2)[0, 0], atoms[0, 0], atol=2e-6)
    cold, warm = (model.bind(record(chain()), temperature=t).sample(trace(chain()), 2, seed=1) for t in (0.2, 1.0))
    assert np.abs(cold - warm).max() > 0.05


def test_sound_moves_beads_as_little_as_peptides_ask_and_says_so(model, caplog):
    source = record(chain())
    stretched = source.positions * 1.15
    exact, sound = (model.bind(source, consistency=which) for which in ("exact", "sound"))
    np.testing.assert_allclose(exact.mapping.project(exact.sample(stretched, seed=1)[0])[0], stretched, atol=1e-6)
    with caplog.at_level(logging.INFO):
        moved = sound.mapping.project(sound.sample(stretched, seed=1)[0])[0] - stretched
    lengths = np.linalg.norm(moved, axis=1)
    assert 1e-3 < lengths.mean() < 0.1
    assert "beads moved by" in caplog.text
    np.testing.assert_allclose(sound.bead_shift_nm, (lengths.mean(), lengths.max()), atol=1e-6)
    assert exact.bead_shift_nm == (0.0, 0.0)
    # Over a box too.
    split = stretched + np.where(np.arange(24) % 2, 12.0, 0.0)[:, None]
    sound.sample(split, seed=1, box=np.diag([12.0] * 3))
    assert sound.bead_shift_nm[1] < 2 * lengths.max()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"temperature": 0}, "positive number"), ({"consistency": "loose"}, "exact, sound"),
     ({"histidine": "HIX"}, "HID, HIE, HIP"), ({"termini": "open"}, "charged, neutral, capped"),
     ({"unknown": "ignore"}, '"drop"'), ({"protonation": {"A:99": "ASH"}}, "A:99"),
     ({"histidin": "HIE"}, "unknown option 'histidin'.*histidine")],
)  # fmt: skip
def test_options_that_say_nothing_are_refused(model, options, message):
    with pytest.raises(SettingsError, match=message):
        model.bind(record(chain()), **options)


def test_options_are_passed_on_by_load(file):
    capped = Backmapper.load(file, record(chain()), termini="capped", histidine="HIP", temperature=0.5)
    names = [r.name for r in capped.topology.residues()]
    assert (names[0], names[-1]) == ("ACE", "NME")
    with pytest.raises(TopologyMismatchError, match="--top"):
        Backmapper.load(file)


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_frames_in_another_unit_are_refused(backmapper, factor):
    with pytest.raises(PositionsError, match=r"nm apart along the chain, 0\.38 nm is expected"):
        backmapper.sample(factor * trace(chain()), seed=1)


def test_frames_of_other_beads_are_refused(backmapper):
    with pytest.raises(PositionsError, match="24"):
        backmapper.sample(trace(chain(23)), seed=1)
    lost = trace(chain())
    lost[3] = np.nan
    with pytest.raises(PositionsError, match="NaN or infinity"):
        backmapper.sample(lost, seed=1)


def test_beads_on_a_line_give_finite_atoms(model):
    """No residue has an orientation of its own there."""
    line = np.arange(6)[:, None] * [0.38, 0.0, 0.0]
    source = beads(["ALA"] * 6, line)
    assert np.isfinite(model.bind(source).sample(line, seed=1)).all()


def test_alike_chains_are_one_kind_in_a_system(model):
    one = model.bind(record(chain(12)))
    source = record(chain(12), chain(12), chain(12))
    whole = model.bind(source)
    system = SystemBackmapper(whole.cg_topology(), {"chain": one})
    assert [m.n_beads for m in system.molecules] == [12, 12, 12]
    atoms = system.sample(source.positions, seed=1)
    assert atoms.shape == (1, 1, 3 * one.n_atoms, 3)
    np.testing.assert_allclose(system.mapping.project(atoms[0])[0], source.positions, atol=1e-6)
    assert [c.id for c in system.topology.chains()] == ["A", "B", "C"]
    app.ForceField("amber14-all.xml").createSystem(system.topology)


def cg_simulation(topology, positions):
    """Langevin dynamics of beads held together by bonds."""
    system, bonds = openmm.System(), openmm.HarmonicBondForce()
    for _ in positions:
        system.addParticle(110.0)
    for i, j in topology.bonds():
        length = float(np.linalg.norm(positions[i.index] - positions[j.index]))
        bonds.addBond(i.index, j.index, length, 1e5)
    system.addForce(bonds)
    platform = openmm.Platform.getPlatformByName("Reference")
    integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 0.005)
    integrator.setRandomNumberSeed(1)
    simulation = app.Simulation(topology, system, integrator, platform)
    simulation.context.setPositions(positions)
    return simulation


def test_reporter_writes_atoms_of_a_run_of_alpha_carbons(backmapper, tmp_path):
    simulation = cg_simulation(backmapper.cg_topology(), trace(chain()))
    with BackmapReporter(tmp_path / "aa.dcd", 10, backmapper, seed=1) as reporter:
        simulation.reporters += [reporter, app.DCDReporter(str(tmp_path / "cg.dcd"), 10)]
        simulation.step(40)
    simulation.reporters.clear()
    aa = mdtraj.load(tmp_path / "aa.dcd", top=mdtraj.Topology.from_openmm(backmapper.topology))
    assert aa.n_frames == 4
    backmap_trajectory(tmp_path / "cg.dcd", backmapper, tmp_path / "again.dcd", seed=1, progress=False)
    again = mdtraj.load(tmp_path / "again.dcd", top=aa.topology)
    assert again.n_frames == 4
    beads_again = mdtraj.load(tmp_path / "cg.dcd", top=mdtraj.Topology.from_openmm(backmapper.cg_topology())).xyz
    np.testing.assert_allclose(backmapper.mapping.project(again.xyz), beads_again, atol=3e-6)


def test_minimiser_takes_what_is_sampled(backmapper):
    atoms = backmapper.sample(trace(chain()), seed=1)[0]
    minimizer = Minimizer(backmapper.mapping, handedness=backmapper.handedness, maxIterations=5)
    result = minimizer.minimize(atoms, progress=False)
    assert result.energy_after[0] < result.energy_before[0]


def test_crystal_is_reconstructed(model):
    record_of_all = read_beads(CRYSTAL)
    backmapper = model.bind(record(all_types()))
    index = {(int(r), n): k for k, (r, n) in enumerate(zip(record_of_all.residues, record_of_all.names, strict=True))}
    x = np.zeros((1, backmapper.n_atoms, 3))
    heavy = []
    for k, atom in enumerate(backmapper.topology.atoms()):
        row = index.get((atom.residue.index, atom.name))
        if row is not None:
            x[0, k] = record_of_all.positions[row]
            heavy.append(k)
    assert len(heavy) == record_of_all.n_beads
    rebuilt = backmapper.reconstruct(x)
    assert np.sqrt(((rebuilt - x)[0, heavy] ** 2).sum(-1).mean()) < 0.04


def test_topologies_of_openmm_and_mdtraj_do(model, tmp_path):
    path = written(tmp_path / "ca.pdb", record(chain()))
    file = app.PDBFile(str(path))
    positions = file.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    expected = model.bind(path).topology
    for source in (file, file.topology, mdtraj.load(path), mdtraj.load(path).topology):
        found = model.bind(source, positions=positions).topology
        assert [a.name for a in found.atoms()] == [a.name for a in expected.atoms()]


def test_helix_stays_a_helix_of_l_amino_acids(model):
    source = beads(["ALA"] * 12, helix(12))
    atoms = model.bind(source).sample(helix(12), seed=1)[0, 0]
    names = [a.name for a in model.bind(source).topology.atoms()]
    n, ca, c, cb = (atoms[[k for k, name in enumerate(names) if name == wanted]] for wanted in ("N", "CA", "C", "CB"))
    assert (np.linalg.det(np.stack([n - ca, c - ca, cb - ca], 1)) > 0).all()


@pytest.mark.skipif("protein-ca" not in pretrained_names(), reason="protein-ca is not bundled yet")
def test_the_bundled_model_keeps_what_random_weights_do():
    """Its TorchScript is what the package builds; a frame's structures are its own, and the likeliest is one."""
    source, points = record(all_types()), np.stack([trace(all_types()), trace(all_types()) + 0.1])
    scripted, rebuilt = (Model.load("protein-ca", rebuild=again) for again in (False, True))
    atoms = scripted.bind(source).sample(points, seed=1)
    np.testing.assert_allclose(rebuilt.bind(source).sample(points, seed=1), atoms, atol=1e-5)
    np.testing.assert_allclose(scripted.bind(source).sample(points[1], seed=1, frames=[1])[0], atoms[1], atol=1e-5)
    likely = scripted.bind(source, representative=True)
    np.testing.assert_allclose(likely.sample(points[0], seed=1), likely.sample(points[0], seed=2), atol=1e-5)


@pytest.mark.skipif("protein-ca" not in pretrained_names(), reason="protein-ca is not bundled yet")
def test_atomistic_md_goes_on_from_beads_that_no_peptide_can_hold_and_among_water():
    """Beads that were moved are held where they are now; particles that are left out have no velocities to keep."""
    stretched = trace(chain(8)) * 1.08
    names = [RESIDUE_NAMES[kind] for kind in chain(8)[0]]
    source = beads([*names, "W"], np.concatenate([stretched, [[5.0, 5, 5]]]), chains="A" * 8 + "W",
                   molecules=[0] * 8 + [1], names=["CA"] * 8 + ["W"])  # fmt: skip
    backmapper = Model.load("protein-ca").bind(source, consistency="sound")
    simulation = to_atomistic_simulation(
        source.positions, backmapper, velocities=np.zeros((9, 3)), equilibration=0.0, platform="Reference", seed=1
    )
    assert simulation.topology.getNumAtoms() == backmapper.n_atoms
    assert backmapper.bead_shift_nm[1] > 0.005
