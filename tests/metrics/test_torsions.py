import numpy as np
import pytest
from rdkit import Chem

from openmm_cgvae.metrics.torsions import each_torsion_divergence, find_torsions
from openmm_cgvae.molecule.graph import MolecularGraph


def from_smiles(smiles):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    bonds = np.array(sorted(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in molecule.GetBonds()))
    names = tuple(f"{atom.GetSymbol()}{atom.GetIdx() + 1}" for atom in molecule.GetAtoms())
    return MolecularGraph(numbers, bonds, names, ("LIG",) * len(numbers), np.zeros(len(numbers), dtype=int))


@pytest.mark.parametrize(
    ("smiles", "side_chain", "hydrogen"),
    [
        ("CCCC", [1], [3, 3]),
        ("CCO", [], [1, 3]),
        ("CC[NH3+]", [], [3, 3]),
        ("CC(=O)N", [], [2, 3]),
        ("CCC(=O)[O-]", [2], [3]),
        ("Cc1ccccc1", [], [6]),
        ("CCc1ccccc1", [2], [3]),
        ("c1ccccc1", [], []),
        ("C1CCCN1", [1, 1, 1], []),
        ("CCSSCC", [1, 1, 1], [3, 3]),
        ("O", [], []),
    ],
    ids=["butane", "ethanol", "ammonium", "amide", "carboxylate", "toluene", "ethylbenzene", "benzene", "pyrrolidine",
         "disulfide", "water"],
)  # fmt: skip
def test_torsions_and_their_symmetry_follow_from_the_bonds(smiles, side_chain, hydrogen):
    torsions = find_torsions(from_smiles(smiles))
    assert sorted(t.fold for t in torsions if t.kind == "side_chain") == side_chain
    assert sorted(t.fold for t in torsions if t.kind == "rotatable_hydrogen") == hydrogen
    assert len(torsions) == len(side_chain) + len(hydrogen)


def test_a_large_ring_turns_about_its_flat_ends():
    # An amide in a ring of 12: its bonds count, in a ring of 6 they would not.
    assert len(find_torsions(from_smiles("O=C1CCCCCCCCCCN1"))) == 12
    assert len(find_torsions(from_smiles("O=C1CCCCN1"))) == 3


def test_alanine_dipeptide_has_four_backbone_torsions_and_three_methyls(graph):
    torsions = {t.name: t for t in find_torsions(graph)}
    assert [(t.name, t.kind) for t in torsions.values()] == [
        ("ALA2 phi", "backbone"),
        ("ALA2 psi", "backbone"),
        ("ACE1 omega", "backbone"),
        ("ALA2 omega", "backbone"),
        ("ACE1 CH3-C", "rotatable_hydrogen"),
        ("ALA2 CA-CB", "rotatable_hydrogen"),
        ("NME3 N-C", "rotatable_hydrogen"),
    ]
    for torsion in torsions.values():
        assert all(b in graph.neighbours[a] for a, b in zip(torsion.atoms, torsion.atoms[1:], strict=False))
        assert torsion.fold == (3 if torsion.kind == "rotatable_hydrogen" else 1)


def test_reference_scores_no_worse_than_its_floor_and_one_basin_does(graph, reference):
    positions, runs = reference
    same = each_torsion_divergence(positions, positions, graph, runs)
    assert all(v["divergence"] <= 1.1 * v["floor"] for v in same.values())
    frozen = each_torsion_divergence(np.repeat(positions[:1], 200, axis=0), positions, graph, runs)
    assert all(v["divergence"] > 2 * v["floor"] for v in frozen.values())


def test_labels_of_methyl_hydrogens_do_not_count(graph, reference):
    positions, runs = reference
    turned = positions.copy()
    for group in graph.equivalent_hydrogens:
        turned[:, group] = positions[:, np.roll(group, 1)]
    # A turned label is 120 degrees but for distortions, so that a few angles change their bin.
    same, other = (each_torsion_divergence(x, positions, graph, runs) for x in (positions, turned))
    for name, values in same.items():
        assert other[name]["divergence"] == pytest.approx(values["divergence"], abs=0.03)
