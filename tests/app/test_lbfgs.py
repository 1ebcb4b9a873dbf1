"""Many minimisations at once: each goes where it would go alone."""

import torch

from openmm_cgvae.app.lbfgs import MAX_STEP_NM, minimize_together


def wells(*stiffness):
    """Forces of systems of 2 atoms in anisotropic harmonic wells about the origin, a stiffness each."""
    spread = torch.tensor([1.0, 3.0, 10.0, 30.0, 100.0, 0.3], dtype=torch.float64)
    constants = torch.tensor(stiffness, dtype=torch.float64)[:, None] * spread
    return lambda positions: -constants * positions


def start(systems):
    return 0.1 * torch.randn(systems, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_finds_the_minimum_of_each():
    found = minimize_together(wells(1e3, 1e5), start(2), 0.01, 100)
    assert found.abs().max() < 1e-4


def test_the_companions_do_not_matter():
    positions = start(3)
    together = minimize_together(wells(1e2, 1e4, 1e6), positions, 1.0, 20)
    for k, stiffness in enumerate((1e2, 1e4, 1e6)):
        alone = minimize_together(wells(*[stiffness] * 3), positions[k].repeat(3, 1), 1.0, 20)
        assert (alone == together[k]).all()


def test_no_atom_moves_further_than_it_may_in_a_step():
    positions = start(1)
    moved = minimize_together(lambda x: torch.full_like(x, 1e12), positions, 1.0, 1) - positions
    torch.testing.assert_close(moved.view(2, 3).norm(dim=1).max().item(), MAX_STEP_NM)


def test_stops_where_the_forces_are_small():
    positions = start(1)
    size = wells(1e3)(positions).square().mean().sqrt().item()
    assert (minimize_together(wells(1e3), positions, 1.01 * size, 50) == positions).all()
    assert (minimize_together(wells(1e3), positions, 0.99 * size, 50) != positions).any()


def test_goes_on_until_the_tolerance_is_reached_if_no_number_is_given():
    found = minimize_together(wells(1e3), start(1), 1e-6, 0)
    assert wells(1e3)(found).square().mean().sqrt() <= 1e-6


def test_a_system_without_finite_forces_stays_and_spoils_no_other():
    def forces(positions):
        return torch.where(torch.tensor([[True], [False]]), torch.nan, wells(1e3, 1e3)(positions))

    positions = start(2)
    found = minimize_together(forces, positions, 0.01, 100)
    assert (found[0] == positions[0]).all()
    assert found[1].abs().max() < 1e-4
