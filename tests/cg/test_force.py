"""The learned force in OpenMM: minus the gradient, the same from every backend, periodic, scaled, or refused.

With openmmtorch (``make test-torchforce``) both backends run; without, PythonForce alone.
"""

import sys

import numpy as np
import openmm
import pytest
import torch

from openmm_cgvae.cg.force import SCALE, cg_force
from openmm_cgvae.core.errors import MissingDependencyError, ModelFileError, SettingsError
from openmm_cgvae.core.periodic import spanning_tree
from openmm_cgvae.models import ModelConfig
from openmm_cgvae.models.energy import CGEnergy, script_energy

BOX = np.array([[1.5, 0, 0], [0.4, 1.6, 0], [-0.3, 0.5, 1.4]])


@pytest.fixture(scope="module", params=["python", "torchforce"])
def backend(request):
    if request.param == "torchforce":
        pytest.importorskip("openmmtorch")
    return request.param


@pytest.fixture(scope="module")
def energy(five_bead_dataset, five_beads):
    """A learned energy of five beads with random weights."""
    torch.manual_seed(1)
    model = CGEnergy(five_bead_dataset.spec, ModelConfig(features=16, radial=6))
    torch.nn.init.normal_(model.readout[2].weight)
    return script_energy(model, spanning_tree(5, five_beads.bead_bonds).tolist())


@pytest.fixture(scope="module")
def beads(five_bead_dataset):
    """Bead positions of 2 molecules, shape (10, 3), nm."""
    return (five_bead_dataset.spec.projection @ five_bead_dataset.positions[::100].astype(float)).reshape(-1, 3)


def context_of(force, n_beads=10, box=None, platform="Reference"):
    system = openmm.System()
    for _ in range(n_beads):
        system.addParticle(10.0)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*box)
    system.addForce(force)
    return openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform))


def evaluate(context, positions):
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def test_forces_are_minus_the_gradient(energy, beads, backend):
    context = context_of(cg_force(energy, backend))
    forces = evaluate(context, beads)[1]
    assert np.abs(forces).max() > 1
    for bead, axis in [(0, 0), (3, 2), (9, 1)]:
        shift = np.zeros_like(beads)
        shift[bead, axis] = 1e-4
        up, down = (evaluate(context, beads + sign * shift)[0] for sign in (1, -1))
        assert (down - up) / 2e-4 == pytest.approx(forces[bead, axis], rel=1e-5, abs=1e-5)


def test_openmm_gets_what_the_module_gives(energy, beads, backend):
    """Hence any two backends agree: far within 1e-5 relative."""
    found = evaluate(context_of(cg_force(energy, backend)), beads)
    expected, forces = energy.energy_and_forces(torch.tensor(beads))
    assert found[0] == pytest.approx(float(expected), rel=1e-9)
    np.testing.assert_allclose(found[1], forces.numpy(), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
def test_molecules_may_be_split_over_the_box(energy, beads, backend, platform):
    open_energy, open_forces = evaluate(context_of(cg_force(energy, backend)), beads)
    context = context_of(cg_force(energy, backend, periodic=True), box=BOX, platform=platform)
    assert context.getSystem().usesPeriodicBoundaryConditions()
    images = np.random.default_rng(0).integers(-2, 3, size=(10, 3)) @ BOX
    found, forces = evaluate(context, beads + images)
    assert found == pytest.approx(open_energy, rel=1e-5)
    np.testing.assert_allclose(forces, open_forces, rtol=1e-5, atol=1e-4)


def test_the_energy_is_scaled_by_a_parameter_of_the_context(energy, beads, backend):
    context = context_of(cg_force(energy, backend))
    whole, forces = evaluate(context, beads)
    assert context.getParameter(SCALE) == 1
    context.setParameter(SCALE, 0.25)
    found = evaluate(context, beads)
    assert found[0] == pytest.approx(0.25 * whole)
    np.testing.assert_allclose(found[1], 0.25 * forces)


def test_auto_takes_torchforce_where_it_loads(energy, monkeypatch):
    expected = "PythonForce"
    if "openmmtorch" in sys.modules or _importable("openmmtorch"):
        expected = "TorchForce"
    assert type(cg_force(energy)).__name__ == expected
    monkeypatch.setitem(sys.modules, "openmmtorch", None)
    assert type(cg_force(energy)).__name__ == "PythonForce"


def _importable(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True


class LinkedToAnotherTorch:
    """Finds an openmmtorch that does not load."""

    def find_spec(self, name, path=None, target=None):
        if name == "openmmtorch":
            raise OSError("libc10_cuda.so: cannot open shared object file")


def test_what_cannot_be_loaded_says_what_to_install(energy, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "openmmtorch", None)
    with pytest.raises(MissingDependencyError, match=r"constraints-torchforce.txt 'openmm_cgvae\[torchforce\]'"):
        cg_force(energy, backend="torchforce")
    monkeypatch.setattr(sys, "meta_path", [LinkedToAnotherTorch(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "openmmtorch")
    with pytest.raises(MissingDependencyError, match=r"libc10_cuda.so.*constraints-torchforce.txt"):
        cg_force(energy, backend="torchforce")
    assert type(cg_force(energy)).__name__ == "PythonForce"
    monkeypatch.delattr(openmm, "PythonForce")
    with pytest.raises(MissingDependencyError, match=r"openmm 8\.5"):
        cg_force(energy, backend="python")
    with pytest.raises(SettingsError, match="'tensorflow' given"):
        cg_force(energy, backend="tensorflow")
    with pytest.raises(ModelFileError, match="does not exist"):
        cg_force(tmp_path / "missing.pt")


def test_a_model_file_is_no_learned_potential(model_path):
    with pytest.raises(ModelFileError, match="'openmm_cgvae learned potential' is expected"):
        cg_force(model_path)


def test_some_particles_of_a_system_are_the_beads(energy, beads, backend):
    expected, expected_forces = evaluate(context_of(cg_force(energy, backend)), beads)
    chosen = [11, 3, 4, 5, 6, 0, 1, 2, 8, 9]
    positions = np.ones((12, 3))
    positions[chosen] = beads
    found, forces = evaluate(context_of(cg_force(energy, backend, particles=chosen), 12), positions)
    assert found == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(forces[chosen], expected_forces, rtol=1e-7, atol=1e-7)
    assert not forces[[7, 10]].any()


def test_a_system_with_a_python_force_goes_to_xml_and_back(energy, beads):
    context = context_of(cg_force(energy, "python"))
    text = openmm.XmlSerializer.serialize(context.getSystem())
    again = openmm.XmlSerializer.deserialize(text)
    other = openmm.Context(again, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    assert evaluate(other, beads)[0] == pytest.approx(evaluate(context, beads)[0], rel=1e-9)
