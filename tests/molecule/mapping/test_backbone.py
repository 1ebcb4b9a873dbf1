import mdtraj
import numpy as np
import pytest

from openmm_cgvae.core.errors import DataError, MappingError, PositionsError, SettingsError
from openmm_cgvae.molecule.mapping import CGMapping
from openmm_cgvae.molecule.mapping.backbone import backbone_chain, backbone_mapping

# CH3 C O of ACE, N CA C O of ALA, N C of NME.
CHAIN = [1, 4, 5, 6, 8, 14, 15, 16, 18]


def peptide(*chains):
    """Chains of residues, each (name, atom names)."""
    topology = mdtraj.Topology()
    for residues in chains:
        chain = topology.add_chain()
        for name, atoms in residues:
            residue = topology.add_residue(name, chain)
            for atom in atoms:
                topology.add_atom(atom, mdtraj.element.Element.getBySymbol(atom[0]), residue)
    return topology


def test_chain_of_alanine_dipeptide_holds_the_heavy_atoms_of_the_caps(topology):
    assert backbone_chain(topology).tolist() == CHAIN


def test_chain_follows_the_peptide_whatever_the_order_in_the_file():
    topology = peptide([("ACE", ["C", "O", "CH3"]), ("GLY", ["O", "C", "CA", "N"]), ("NME", ["C", "N"])])
    names = [topology.atom(i).name for i in backbone_chain(topology)]
    assert names == ["CH3", "C", "O", "N", "CA", "C", "O", "N", "C"]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("n_beads", [1, 3, 5, 8, 9])
def test_segments_are_contiguous_and_all_atoms_mapped(topology, reference, n_beads, seed):
    mapping = backbone_mapping(topology, reference[0], n_beads, seed)
    assert isinstance(mapping, CGMapping)
    assert mapping.n_beads == n_beads
    segments = mapping.assignment[CHAIN]
    assert set(np.diff(segments)) <= {0, 1}
    assert segments[0] == 0 and segments[-1] == n_beads - 1


def test_same_seed_same_mapping_and_other_seeds_cut_elsewhere(topology, reference):
    again, *others = (backbone_mapping(topology, reference[0], 4, seed) for seed in (7, *range(6)))
    assert again == backbone_mapping(topology, reference[0], 4, 7)
    assert len({mapping.beads for mapping in others}) > 1


def test_cuts_are_uniform():
    topology = peptide([("GLY", ["N", "CA", "C", "O"])])
    positions = np.random.default_rng(0).normal(size=(4, 3))
    sizes = [len(backbone_mapping(topology, positions, 2, seed).beads[0]) for seed in range(300)]
    assert (np.bincount(sizes, minlength=4)[1:] > 70).all()


def test_other_atoms_join_the_segment_nearest_in_the_mean(topology, reference):
    mapping = backbone_mapping(topology, reference[0], 4, 2)
    parts = [[i for i in CHAIN if mapping.assignment[i] == k] for k in range(4)]
    centres = np.stack([reference[0][:, part].mean(1) for part in parts], axis=1)
    distance = np.linalg.norm(reference[0][:, :, None] - centres[:, None], axis=-1).mean(0)
    rest = np.setdiff1d(np.arange(22), CHAIN)
    np.testing.assert_array_equal(mapping.assignment[rest], distance.argmin(1)[rest])


def test_one_structure_will_do(topology, reference):
    assert backbone_mapping(topology, reference[0][0], 3).n_beads == 3


def test_no_segment_spans_two_chains():
    glycine = ("GLY", ["N", "CA", "C", "O"])
    topology = peptide([glycine, glycine], [glycine])
    positions = np.random.default_rng(0).normal(size=(12, 3))
    for seed in range(10):
        beads = backbone_mapping(topology, positions, 3, seed).assignment
        assert not set(beads[:8]) & set(beads[8:])
    with pytest.raises(MappingError, match="from 2 to 12"):
        backbone_mapping(topology, positions, 1)


def test_weights_are_those_asked_for(topology, reference):
    mapping = backbone_mapping(topology, reference[0], 3, weights="mass")
    assert mapping.weights[1] == pytest.approx(12.011, abs=0.01)


@pytest.mark.parametrize("n_beads", [0, -2, 10, 2.5])
def test_impossible_numbers_of_beads_are_refused(topology, reference, n_beads):
    with pytest.raises(MappingError, match="from 1 to 9"):
        backbone_mapping(topology, reference[0], n_beads)


def test_molecules_without_backbone_are_refused():
    topology = peptide([("MOL", ["C1", "C2", "O1"])])
    with pytest.raises(MappingError, match="no protein backbone"):
        backbone_mapping(topology, np.zeros((3, 3)), 1)


def test_bad_positions_and_seeds_are_refused(topology, reference):
    with pytest.raises(PositionsError):
        backbone_mapping(topology, reference[0][:, 1:], 3)
    with pytest.raises(DataError, match="no frame"):
        backbone_mapping(topology, reference[0][:0], 3)
    with pytest.raises(SettingsError, match="seed"):
        backbone_mapping(topology, reference[0], 3, seed=-1)
