"""Boltzmann inversion: known distributions give back their potentials, walls hold, the JSON form is exact."""

import json

import numpy as np
import pytest
from openmm import app

from openmm_cgvae.cg.boltzmann import bead_types, boltzmann_inversion
from openmm_cgvae.cg.potential import CGPotential
from openmm_cgvae.core.errors import DataError, ModelFileError, OutputError, SettingsError
from openmm_cgvae.core.units import BOLTZMANN_KJ_PER_MOL_K
from openmm_cgvae.molecule.mapping import residue_mapping

TEMPERATURE = 300.0
KT = BOLTZMANN_KJ_PER_MOL_K * TEMPERATURE


def directions(generator, n):
    vectors = generator.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pair_frames(generator, distances):
    """Two beads at the given distances, in random directions: shape (frames, 2, 3)."""
    frames = np.zeros((len(distances), 2, 3))
    frames[:, 1] = distances[:, None] * directions(generator, len(distances))
    return frames


def chain_frames(generator, n_frames=3000, n_beads=5, handedness=0.9):
    """A chain of fluctuating bonds and angles whose torsions are near +60 or, more rarely, -60 degrees."""
    size = n_frames, max(n_beads, 3)
    angle = np.radians(generator.normal(100, 5, size=size))
    torsion = np.radians(generator.normal(60, 10, size=size))
    torsion *= np.where(generator.random(size) < handedness, 1, -1)
    bond = generator.normal(0.38, 0.01, size=size)
    frames = np.zeros((*size, 3))
    frames[:, 1, 0] = bond[:, 1]
    frames[:, 2] = frames[:, 1] + bond[:, 2, None] * np.stack(
        [-np.cos(angle[:, 2]), np.sin(angle[:, 2]), 0 * bond[:, 2]], axis=1
    )
    for k in range(3, n_beads):
        u = frames[:, k - 1] - frames[:, k - 2]
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        n = np.cross(frames[:, k - 2] - frames[:, k - 3], u)
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        a, t = angle[:, k, None], torsion[:, k, None]
        step = -np.cos(a) * u + np.sin(a) * (np.cos(t) * np.cross(n, u) + np.sin(t) * n)
        frames[:, k] = frames[:, k - 1] + bond[:, k, None] * step
    return frames[:, :n_beads]


def chain_potential(generator, n_beads=5, **options):
    bonds = [[k, k + 1] for k in range(n_beads - 1)]
    return boltzmann_inversion(
        chain_frames(generator, n_beads=n_beads, **options), bonds, TEMPERATURE, [15.0] * n_beads
    )


@pytest.fixture
def generator():
    return np.random.default_rng(7)


def test_harmonic_distribution_gives_its_spring_back(generator):
    k, centre, n = 5000.0, 0.5, 50_000
    sigma = np.sqrt(KT / k)
    # Drawn from r^2 exp(-U/kT), by rejection.
    r = generator.normal(centre, sigma, 2 * n)
    r = r[generator.random(2 * n) < (r / 0.7) ** 2][:n]
    terms = boltzmann_inversion(pair_frames(generator, r), [[0, 1]], TEMPERATURE, [10, 10]).distances
    x = np.linspace(centre - 2 * sigma, centre + 2 * sigma, 41)
    fit = np.polynomial.Polynomial.fit(x, terms.energy(x[:, None])[:, 0], 2).convert().coef
    # Smoothing adds 1.1 % to the variance (bandwidth 0.1 sigma); sampling about 1 % (sqrt(2/n), ends weighing more).
    assert 2 * fit[2] == pytest.approx(k, rel=0.05)
    assert -fit[1] / (2 * fit[2]) == pytest.approx(centre, abs=0.02 * sigma)


def test_free_particles_have_a_flat_potential(generator):
    """Uniform in a shell: P(r) grows as r^2, so the potential of mean force is constant."""
    n = 200_000
    r = np.cbrt(generator.uniform(0.3**3, 0.9**3, n))
    terms = boltzmann_inversion(pair_frames(generator, r), [], TEMPERATURE, [10, 10]).distances
    energy = terms.energy(np.linspace(0.4, 0.8, 50)[:, None])[:, 0]
    # A kernel of bandwidth 0.013 nm holds at least 1000 frames: noise below 3 %, largest of 50 within 4 of these.
    assert np.ptp(energy) / KT < 0.2
    # Without the Jacobian it would be 2 ln(0.8/0.4) = 1.39.


def test_three_distances_have_the_volume_element_of_a_triangle(generator):
    """Independent distances: U of each is -kT ln(P(r) / r), as the volume element is r12 r13 r23."""
    n, centre, sigma = 50_000, 0.5, 0.05
    r12, r13, r23 = generator.normal(centre, sigma, (3, n))
    x = (r12**2 + r13**2 - r23**2) / (2 * r12)
    frames = np.zeros((n, 3, 3))
    frames[:, 1, 0] = r12
    frames[:, 2, :2] = np.stack([x, np.sqrt(r13**2 - x**2)], axis=1)
    terms = boltzmann_inversion(frames, [[0, 1], [1, 2]], TEMPERATURE, [10] * 3).distances
    grid = np.linspace(centre - 2 * sigma, centre + 2 * sigma, 31)
    expected = (grid - centre) ** 2 / (2 * sigma**2) + np.log(grid / centre)
    found = terms.energy(grid[:, None] * np.ones(3)) / KT
    found -= found[15]
    # Smoothing lowers the ends by 1 % of 2; noise there 5 % (500 frames a kernel). r^2 would be off by 0.22.
    np.testing.assert_allclose(found, expected[:, None] * np.ones(3), atol=0.15)


def test_free_angles_have_a_flat_potential(generator):
    n = 40_000
    frames = np.zeros((n, 4, 3))
    for k in range(1, 4):
        frames[:, k] = frames[:, k - 1] + 0.4 * directions(generator, n)
    potential = boltzmann_inversion(frames, [[0, 1], [1, 2], [2, 3]], TEMPERATURE, [10] * 4)
    energy = potential.angles.energy(np.linspace(-1, 1, 81)[:, None] * np.ones(2))
    # Kernel of 0.06: 3000 frames inside, half of that at the ends.
    assert np.ptp(energy, axis=0).max() / KT < 0.2
    assert potential.distances.beads.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    # An angle spans these, so only their walls remain.
    assert np.ptp(potential.distances.energies[[1, 4]]) == 0


@pytest.mark.parametrize("n_beads", [2, 3, 4, 6])
def test_energy_is_finite_anywhere(generator, n_beads):
    potential = chain_potential(generator, n_beads)
    frame = generator.normal(size=(n_beads, 3))
    coincident = np.zeros((n_beads, 3))
    for frames in (coincident, 100 * frame, 1e-9 * frame, 1e4 * frame):
        assert np.isfinite(potential.energy(frames))
    assert potential.energy(coincident) > potential.energy(potential.starts_nm).max() + 20 * KT
    assert potential.energy(100 * frame) > potential.energy(potential.starts_nm).max() + 20 * KT


def test_energy_and_slope_are_continuous_at_the_edges(generator):
    terms = chain_potential(generator).distances
    for edge in (terms.lower, terms.upper):
        left, here, right = (terms.energy(edge + shift) for shift in (-1e-7, 0.0, 1e-7))
        # Slopes differ by curvature x 2e-7 nm, here below 0.1 kJ/mol/nm, and by rounding.
        np.testing.assert_allclose((right - here) / 1e-7, (here - left) / 1e-7, atol=0.5)


def test_a_constant_distance_becomes_a_stiff_spring(generator):
    potential = boltzmann_inversion(pair_frames(generator, np.full(100, 0.4)), [[0, 1]], TEMPERATURE, [10, 10])
    energy = potential.distances.energy(np.array([[0.38], [0.4], [0.42]]))[:, 0]
    assert energy[1] == pytest.approx(0, abs=0.01)
    assert (energy[[0, 2]] > 5 * KT).all()
    assert np.isfinite(energy).all()


def test_two_frames_are_enough_to_run(generator):
    assert np.isfinite(boltzmann_inversion(chain_frames(generator, 2), [[0, 1]], 300, [1] * 5).energy(np.zeros((5, 3))))


def test_one_bead_has_no_forces():
    potential = boltzmann_inversion(np.zeros((5, 1, 3)), [], TEMPERATURE, [20.0])
    assert [len(terms) for terms in potential.terms] == [0, 0, 0]
    assert potential.energy(np.ones((1, 3))) == 0
    assert CGPotential.from_dict(potential.to_dict()).energy(np.ones((1, 3))) == 0


def test_the_mirror_image_costs_what_its_rarity_says(generator):
    """With 9 of 10 torsions on one side, the other costs kT ln 9 a quadruple."""
    frames = chain_frames(generator, 20_000, n_beads=4)
    potential = boltzmann_inversion(frames, [[0, 1], [1, 2], [2, 3]], TEMPERATURE, [15] * 4)
    usual = np.median(potential.chiralities.values(frames))
    cost = potential.chiralities.energy(np.array([[-usual], [usual]]))[:, 0]
    # 20,000 frames, 10 % rare: sampling error of ln(P/P') near the peak about 0.05 (some 600 rare frames a kernel).
    assert (cost[0] - cost[1]) / KT == pytest.approx(np.log(9), abs=0.2)


def test_unbonded_pairs_share_the_degrees_of_freedom_left(generator):
    """Five beads in a chain: 9 degrees of freedom, 4 bonds and 3 angles; 3 further pairs share the other 2."""
    frames = chain_frames(generator)
    bonds = [[k, k + 1] for k in range(4)]
    energies = boltzmann_inversion(frames, bonds, TEMPERATURE, [15] * 5).distances.energies
    alone = boltzmann_inversion(frames[:, [0, 2, 4]], [], TEMPERATURE, [15] * 3).distances.energies
    flank = np.argmax(np.diff(alone[1]) >= 0)
    # Tables are rounded to 1e-4.
    np.testing.assert_allclose(energies[3, flank:], 2 / 3 * alone[1, flank:], atol=2e-4)
    # The repulsive flank is whole.
    drop = alone[1, :flank] - alone[1, flank]
    np.testing.assert_allclose(energies[3, :flank] - energies[3, flank], drop, atol=4e-4)


def test_terms_of_the_same_types_share_a_table(generator):
    frames = chain_frames(generator)
    bonds = [[k, k + 1] for k in range(4)]
    alike = boltzmann_inversion(frames, bonds, TEMPERATURE, [15] * 5, types=[0] * 5)
    # Bonded, spanned by an angle, apart; one angle; one chirality.
    assert [len(terms.wall) for terms in alike.terms] == [3, 1, 1]
    assert [len(terms) for terms in alike.terms] == [10, 3, 2]
    # Pooled: the range is that of all four bonds.
    each = boltzmann_inversion(frames, bonds, TEMPERATURE, [15] * 5).distances
    bonded = np.flatnonzero(np.diff(each.beads) == 1)
    assert alike.distances.upper[alike.distances.tables[bonded[0]]] >= each.upper[bonded].min()
    np.testing.assert_array_equal(alike.distances.tables[bonded], alike.distances.tables[bonded[0]])
    # A palindrome: angle 0-1-2 is angle 4-3-2 read backwards.
    mirrored = boltzmann_inversion(frames, bonds, TEMPERATURE, [15] * 5, types=[0, 1, 2, 1, 0])
    assert mirrored.angles.tables.tolist() == [0, 1, 0]
    assert mirrored.chiralities.tables.tolist() == [0, 0]


def test_beads_of_the_same_atoms_are_of_one_type():
    topology = app.Topology()
    chain = topology.addChain()
    for name in ("GLY", "ALA", "GLY"):
        residue = topology.addResidue(name, chain)
        topology.addAtom("CA", app.Element.getBySymbol("C"), residue)
    assert bead_types(residue_mapping(topology)).tolist() == [0, 1, 0]


def test_json_form_is_exact_and_short(generator):
    potential = chain_potential(generator)
    text = json.dumps(potential.to_dict())
    back = CGPotential.from_dict(json.loads(text))
    assert json.dumps(back.to_dict()) == text
    frames = generator.normal(size=(10, 5, 3))
    np.testing.assert_array_equal(back.energy(frames), potential.energy(frames))
    # 15 tables of 100 entries.
    assert len(text) < 20_000


def test_same_data_same_potential_wherever_it_lies(generator):
    frames = chain_frames(generator)
    bonds = [[k, k + 1] for k in range(4)]
    first = boltzmann_inversion(frames, bonds, TEMPERATURE, [15] * 5)
    moved = boltzmann_inversion(frames[:, :, [1, 2, 0]] + 5.0, bonds, TEMPERATURE, [15] * 5)
    # Rounding moves single frames between neighbouring fine bins.
    np.testing.assert_allclose(moved.distances.energies, first.distances.energies, atol=0.05)
    assert moved.starts_nm == pytest.approx(first.starts_nm[..., [1, 2, 0]], abs=2e-5)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"beads_nm": np.zeros((1, 2, 3))}, DataError, "at least 2"),
        ({"beads_nm": np.zeros((5, 2))}, DataError, "expected"),
        ({"beads_nm": np.full((5, 2, 3), np.nan)}, DataError, "frame 0"),
        ({"bead_bonds": [[0, 2]]}, DataError, "from 0 to 1"),
        ({"bead_bonds": [[1, 1]]}, DataError, "different beads"),
        ({"masses": [1.0]}, DataError, "2 positive"),
        ({"masses": [1.0, 0.0]}, DataError, "positive"),
        ({"temperature": 0}, SettingsError, "temperature=0 given: a number above 0"),
        ({"temperature": float("nan")}, SettingsError, "temperature=nan given: a number above 0"),
        ({"n_grid": 3}, SettingsError, "at least 10"),
        ({"types": [0]}, DataError, "one for each of 2 beads"),
    ],
)
def test_bad_input_is_refused(generator, change, error, words):
    good = {
        "beads_nm": generator.normal(size=(50, 2, 3)),
        "bead_bonds": [[0, 1]],
        "temperature": 300,
        "masses": [1.0, 1.0],
    }
    with pytest.raises(error, match=words):
        boltzmann_inversion(**(good | change))


def test_a_damaged_description_is_refused(generator):
    description = chain_potential(generator, 3).to_dict()
    for damaged in (
        {},
        description | {"distances": None},
        description | {"starts_nm": [1.0]},
        description | {"distances": description["distances"] | {"wall": [1.0]}},
    ):
        with pytest.raises(ModelFileError, match="not a coarse-grained potential"):
            CGPotential.from_dict(damaged)


def first_version(potential):
    """What was written before terms shared tables."""
    description = potential.to_dict()
    del description["format"], description["format_version"]
    for name in ("distances", "angles", "chiralities"):
        del description[name]["tables"]
    return description


def test_a_potential_of_the_first_format_is_migrated(generator):
    potential = chain_potential(generator)
    assert CGPotential.from_dict(first_version(potential)).to_dict() == potential.to_dict()


def test_a_potential_of_a_newer_format_is_refused(generator):
    with pytest.raises(ModelFileError, match=r"format version 99.*upgrade"):
        CGPotential.from_dict(chain_potential(generator).to_dict() | {"format_version": 99})


def test_saved_alone_it_comes_back_exactly(generator, tmp_path):
    potential = chain_potential(generator)
    potential.save(tmp_path / "potential.json")
    assert CGPotential.load(tmp_path / "potential.json").to_dict() == potential.to_dict()
    with pytest.raises(OutputError, match="exists"):
        potential.save(tmp_path / "potential.json")


@pytest.mark.parametrize("text", ["", "[1, 2]", "{}", "no JSON"])
def test_a_file_that_is_no_potential_is_refused(text, tmp_path):
    path = tmp_path / "potential.json"
    with pytest.raises(ModelFileError, match="does not exist"):
        CGPotential.load(path)
    path.write_text(text)
    with pytest.raises(ModelFileError, match="coarse-grained potential"):
        CGPotential.load(path)


def test_tables_with_nan_are_refused(generator):
    description = chain_potential(generator).to_dict()
    description["distances"]["energies"][0][0] = float("nan")
    with pytest.raises(ModelFileError, match="nan, a number is expected"):
        CGPotential.from_dict(description)
