"""CoarsenConf turns with its input, knows hands, keeps the truth from its prior, and takes atoms in any order."""

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from openmm_cgvae.chemistry.rotatable import rigid_fragments
from openmm_cgvae.core.errors import MoleculeError
from openmm_cgvae.ligands.coarsegraph import joined_graphs, placed_beads
from openmm_cgvae.ligands.coarsenconf import CoarsenConf, CoarsenConfConfig
from openmm_cgvae.ligands.coarsening import N_ROWS, CoarseMolecule

IBUPROFEN = "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"
CHAIN = "C[C@H](N)CCOCC(=O)NCC#N"
SIZE = CoarsenConfConfig(features=16, channels=4, latent=3)


def embedded(smiles, n=2, seed=1):
    """The molecule, and conformers (n, atoms, 3) in double precision."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMultipleConfs(mol, n, randomSeed=seed)
    return mol, torch.tensor(np.array([c.GetPositions() for c in mol.GetConformers()]))


def model_of(size=SIZE):
    """A model whose layers all do something, in double precision."""
    torch.manual_seed(0)
    model = CoarsenConf(size, N_ROWS).double().eval()
    for layer in model.decoder.layers:
        torch.nn.init.normal_(layer.gate.weight, std=0.5)
    return model


@pytest.fixture(scope="module")
def model():
    return model_of()


def example(smiles=IBUPROFEN):
    mol, (approximate, x) = embedded(smiles)
    graph = CoarseMolecule(mol).graph(approximate)
    noise = torch.randn(len(graph.owner), 3, SIZE.latent, generator=torch.Generator().manual_seed(2)).double()
    return mol, graph, approximate, x, noise


def rotation(seed=3):
    q = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)).double())[0]
    return q * torch.linalg.det(q)


def turned(vectors, q):
    return torch.einsum("nif,ij->njf", vectors, q)


def test_beads_are_built_from_the_largest_outwards():
    mol, _ = embedded("CCCOCc1ccccc1", 1)
    molecule = CoarseMolecule(mol)
    x = mol.GetConformer().GetPositions()
    graph, order = molecule.graph(x), molecule.order(x)
    assert (graph.bead == order[0]).sum() == 11
    first_atoms = [int(np.flatnonzero(molecule.bead == bead)[0]) for bead in order]
    # The ring, then along the chain.
    assert [mol.GetAtomWithIdx(i).GetSymbol() for i in first_atoms] == ["C", "C", "O", "C", "C"]
    assert graph.step[order].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("smiles", ["CCO", "CC", "OO"])
def test_two_beads_of_few_atoms_turn_with_the_approximate_conformer(model, smiles):
    mol, (approximate, _) = embedded(smiles)
    graph = CoarseMolecule(mol, fragments=rigid_fragments(mol, terminal=True)).graph(approximate)
    assert len(graph.owner) >= 2
    noise = torch.randn(len(graph.owner), 3, SIZE.latent, generator=torch.Generator().manual_seed(2)).double()
    q = rotation()
    sampled = model.sample(graph, approximate, noise)
    assert torch.isfinite(sampled).all()
    assert torch.allclose(model.sample(graph, approximate @ q, turned(noise, q)), sampled @ q, atol=1e-8)


@pytest.mark.parametrize(("smiles", "problem"), [("[Na+].[Cl-]", "Na"), ("C.O", "2 parts"), ("C[Sn](C)(C)C", "Sn")])
def test_what_the_model_does_not_know_is_refused(smiles, problem):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    with pytest.raises(MoleculeError, match=problem):
        CoarseMolecule(mol)


@pytest.mark.parametrize("smiles", [IBUPROFEN, CHAIN, "CCO", "c1ccccc1"])
def test_samples_turn_and_move_with_the_approximate_conformer(model, smiles):
    _, graph, approximate, _, noise = example(smiles)
    q, shift = rotation(), torch.tensor([5.0, -3.0, 8.0])
    sampled = model.sample(graph, approximate, noise)
    moved = model.sample(graph, approximate @ q + shift, turned(noise, q))
    assert (sampled - approximate).abs().max() > 0.3
    assert torch.allclose(moved, sampled @ q + shift, atol=1e-8)


def test_the_posterior_turns_with_the_approximate_conformer_and_does_not_see_the_pose_of_the_truth(model):
    _, graph, approximate, x, _ = example()
    q = rotation()
    mean, log_variance = model.encode(graph, approximate, x)
    posed = model.encode(graph, approximate, x @ q + 4.0)
    assert torch.allclose(posed[0], mean, atol=1e-9) and torch.allclose(posed[1], log_variance, atol=1e-9)
    moved = model.encode(graph, approximate @ q - 2.0, x)
    assert torch.allclose(moved[0], turned(mean, q), atol=1e-9) and torch.allclose(moved[1], log_variance, atol=1e-9)
    assert mean.abs().max() > 0.01


def test_a_mirrored_molecule_does_not_give_the_mirrored_structure(model):
    _, graph, approximate, x, noise = example()
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0])).double()
    sampled = model.sample(graph, approximate, noise)
    mirrored = model.sample(graph, approximate @ mirror, turned(noise, mirror))
    assert (mirrored - sampled @ mirror).abs().max() > 1e-3
    mean, _ = model.encode(graph, approximate, x)
    other, _ = model.encode(graph, approximate @ mirror, x @ mirror)
    assert (other - turned(mean, mirror)).abs().max() > 1e-4


def test_the_prior_and_its_samples_do_not_see_the_truth(model):
    _, graph, approximate, x, noise = example()
    before = (*model.prior(graph, approximate), model.sample(graph, approximate, noise))
    first, _ = model.encode(graph, approximate, x)
    second, _ = model.encode(graph, approximate, x + 0.3 * torch.randn_like(x))
    assert (first - second).abs().max() > 1e-4
    rebuilt = [model.forced(graph, approximate, truth, noise, 0.1 * x) for truth in (x, x * 1.1)]
    after = (*model.prior(graph, approximate), model.sample(graph, approximate, noise))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    # In training too: the last two are what the prior says.
    assert all(torch.equal(a, b) for a, b in zip(rebuilt[0][3:], rebuilt[1][3:], strict=True))
    assert torch.equal(rebuilt[0][3], before[0])


def test_teacher_forcing_on_what_was_built_gives_the_same_structure(model):
    _, graph, approximate, _, noise = example(CHAIN)
    built = model.decode(graph, approximate, noise)
    h, v, H, _ = model.conditioned(graph, approximate)
    rows = torch.arange(len(built))
    rotations, placed = placed_beads(graph, approximate, built, False)
    again = model.decoder(graph, h, v, H, noise, rotations, placed, built, rows, rows)
    assert torch.allclose(again, built, atol=1e-8)


def test_a_bead_does_not_see_those_built_after_it(model):
    _, graph, approximate, x, noise = example(CHAIN)
    at = graph.step[graph.bead]
    last = at == at.max()
    other = torch.where(last.unsqueeze(1), x + 0.5, x)
    h, v, H, _ = model.conditioned(graph, approximate)
    rows = torch.arange(len(x))

    def rebuilt(seen):
        placed = placed_beads(graph, approximate, seen, False)
        return model.decoder(graph, h, v, H, noise, *placed, seen, rows, rows)

    assert torch.allclose(rebuilt(other), rebuilt(x), atol=1e-12)


@pytest.mark.parametrize("smiles", [CHAIN, "CC(C)OCCOC(C)C", "OCCCCCCO"])
def test_the_order_of_atoms_does_not_matter(model, smiles):
    mol, graph, approximate, _, noise = example(smiles)
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms())
    renumbered = Chem.RenumberAtoms(mol, order.tolist())
    other = CoarseMolecule(renumbered).graph(approximate[order])
    # Noise belongs to the place of a bead in the order in which they are built.
    by_step = noise.new_empty(noise.shape)
    by_step[graph.step] = noise
    sampled = model.sample(graph, approximate, by_step[graph.step])
    again = model.sample(other, approximate[order], by_step[other.step])
    assert torch.allclose(again, sampled[order], atol=1e-8)


def test_a_molecule_in_a_batch_gives_what_it_gives_alone(model):
    parts = [example(smiles) for smiles in (IBUPROFEN, "c1ccccc1", CHAIN)]
    alone = torch.cat([model.sample(graph, approximate, noise) for _, graph, approximate, _, noise in parts])
    graph = joined_graphs([part[1] for part in parts])
    together = model.sample(graph, torch.cat([p[2] for p in parts]), torch.cat([p[4] for p in parts]))
    assert torch.allclose(together, alone, atol=1e-9)


def test_one_bead_stays_in_the_frame_of_the_approximate_conformer(model):
    _, graph, approximate, x, _ = example("c1ccccc1")
    assert len(graph.owner) == 1 and not len(graph.bridge)
    rotations, placed = placed_beads(graph, approximate, x, False)
    assert torch.equal(rotations[0], torch.eye(3).double())
    assert torch.allclose(placed, approximate, atol=1e-12)


def test_torchscript_samples_the_same(model):
    _, graph, approximate, x, noise = example()
    scripted = torch.jit.script(model)
    assert torch.allclose(scripted.sample(graph, approximate, noise), model.sample(graph, approximate, noise))
    assert torch.allclose(scripted.encode(graph, approximate, x)[0], model.encode(graph, approximate, x)[0])


def test_gradients_of_flat_and_straight_molecules_are_finite():
    model = model_of()
    for smiles in ("C#CC#CC=O", "CC#CC", "c1ccccc1"):
        _, graph, approximate, x, noise = example(smiles)
        built, *gaussians = model.forced(graph, approximate, x, noise, torch.zeros_like(x))
        (built.square().sum() + sum(g.square().sum() for g in gaussians)).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
