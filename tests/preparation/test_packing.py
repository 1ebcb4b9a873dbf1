"""Structures and runs become packed chains, whose relatives are held out together."""

import numpy as np
import pytest
from conftest import DATA
from openmm import app
from proteinchains import FOLDER
from proteintrainings import packed

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.io.trajectory_files import TrajectoryWriter
from openmm_cgvae.preparation.clusters import sequence_clusters, sequence_identity, split_clusters
from openmm_cgvae.preparation.packing import Source, pack, read_sources

CRYSTAL = FOLDER / "5k6d.pdb"


def random_sequences(n, length=120, seed=0):
    return list(np.random.default_rng(seed).integers(0, 20, (n, length)))


def mutated(sequence, part, seed=1):
    """A sequence with a part of its residues changed to others."""
    rng = np.random.default_rng(seed)
    changed = rng.permutation(len(sequence))[: round(part * len(sequence))]
    other = sequence.copy()
    other[changed] = (other[changed] + rng.integers(1, 20, len(changed))) % 20
    return other


# ------------------------------------------------------------------------------------------------- clusters


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5])
def test_identity_is_what_is_left_unchanged(part):
    one = random_sequences(1)[0]
    assert sequence_identity(one, mutated(one, part)) == pytest.approx(1 - part, abs=0.06)


def test_identity_bridges_insertions_and_takes_parts():
    one = random_sequences(1)[0]
    inserted = np.concatenate([one[:50], [3, 3, 7, 1], one[50:]])
    assert sequence_identity(one, inserted) > 0.97
    assert sequence_identity(one, one[40:90]) == 1.0


def test_random_sequences_are_not_alike():
    sequences = random_sequences(20)
    assert max(sequence_identity(sequences[0], other) for other in sequences[1:]) < 0.25


def test_relatives_are_one_cluster_and_others_are_not():
    families = random_sequences(8)
    sequences = [mutated(family, 0.2, seed) for family in families for seed in range(3)]
    clusters = sequence_clusters(sequences).reshape(8, 3)
    assert (clusters == clusters[:, :1]).all() and len(np.unique(clusters)) == 8


def test_short_sequences_are_clusters_of_their_own():
    assert len(np.unique(sequence_clusters([np.array([1, 2]), np.array([3]), np.array([1, 2])]))) == 3


def test_clusters_are_split_whole():
    clusters = np.repeat(np.arange(40), 3)
    splits = split_clusters(clusters, (0.1, 0.2))
    for k in range(40):
        assert len(set(splits[clusters == k])) == 1
    assert [int((splits == name).sum()) for name in ("train", "validation", "test")] == [84, 12, 24]


# ------------------------------------------------------------------------------------------------- packing


def write_glycines(folder, n):
    """Write PDB files of the backbone of 5K6D as glycines."""
    lines = [line for line in CRYSTAL.read_text().splitlines() if line.startswith("ATOM")]
    kept = [line[:17] + "GLY" + line[20:] for line in lines if line[12:16].strip() in ("N", "CA", "C", "O")]
    for k in range(n):
        (folder / f"m{k}.pdb").write_text("\n".join(kept[8 * k :]))


def test_folder_of_structures_is_packed(tmp_path):
    (tmp_path / "a.pdb").write_bytes(CRYSTAL.read_bytes())
    (tmp_path / "same.pdb").write_bytes(CRYSTAL.read_bytes())
    (tmp_path / "b.pdb").write_bytes((DATA / "3i40_aa.pdb").read_bytes())
    write_glycines(tmp_path, 1)
    (tmp_path / "broken.pdb").write_text("nothing")
    (tmp_path / "notes.md").write_text("no structure")
    packed = pack(read_sources(tmp_path))
    # The same sequence once, and of insulin the chain of 30 residues.
    assert sorted(packed.names) == ["a_B", "b_B", "m0_B"]
    assert (len(packed.subset("train")), len(packed.subset("validation", representative=True))) == (2, 1)


def test_best_resolution_of_a_sequence_is_kept(tmp_path):
    for name, resolution in (("a", 2.5), ("b", 1.5), ("c", 1.9)):
        remark = f"REMARK   2 RESOLUTION.    {resolution} ANGSTROMS.\n"
        (tmp_path / f"{name}.pdb").write_text(remark + CRYSTAL.read_text())
    write_glycines(tmp_path, 1)
    packed = pack(read_sources(tmp_path))
    assert dict(zip(packed.names.tolist(), packed.resolutions.tolist(), strict=True))["b_B"] == 1.5


def write_runs(folder, n_runs, n_frames=4):
    """Trajectories of 5K6D with noise, all of one length."""
    topology = load_topology(CRYSTAL)
    first = np.array(app.PDBFile(str(CRYSTAL)).getPositions(asNumpy=True)._value)
    rng = np.random.default_rng(0)
    paths = tuple(folder / f"run{k}.dcd" for k in range(n_runs))
    for path in paths:
        with TrajectoryWriter(path, topology) as writer:
            frames = first + rng.normal(0, 0.002, (n_frames, *first.shape))
            writer.write(frames.astype(np.float32), np.arange(float(n_frames)))
    return paths


def test_runs_are_held_out_whole(tmp_path):
    packed = pack([Source(CRYSTAL, write_runs(tmp_path, 6))], stride=2)
    assert len(packed) == 12 and len(packed[0].residue_types) == 78
    held_out = packed.subset("validation").names
    assert len(held_out) == 2 and len({name.split(":")[0] for name in held_out}) == 1
    assert packed.description["trained_on"].count("run") == 5
    assert packed[0].connected[1:].all()


def test_a_trajectory_may_hold_several_runs(tmp_path):
    packed = pack([Source(CRYSTAL, write_runs(tmp_path, 1, 18))], run_frames=3)
    held_out = [int(name.split(":")[1]) for name in packed.subset("validation").names]
    assert len(held_out) == 3 and len({number // 3 for number in held_out}) == 1


def test_md_of_too_few_residues_is_refused():
    with pytest.raises(DataError, match="has 1 amino acids: 3 or more are expected"):
        pack([Source(DATA / "alanine_dipeptide.pdb", (DATA / "alanine_dipeptide.xtc",))], stride=50)


def test_list_names_structures_and_runs(tmp_path):
    for name in ("a.pdb", "top.pdb", "run 1.dcd", "run2.dcd"):
        (tmp_path / name).write_text("")
    path = tmp_path / "list.txt"
    path.write_text("# crystals\na.pdb\n\ntop.pdb 'run 1.dcd' run2.dcd  # MD\n")
    assert read_sources(path) == [
        Source(tmp_path / "a.pdb"),
        Source(tmp_path / "top.pdb", (tmp_path / "run 1.dcd", tmp_path / "run2.dcd")),
    ]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("none.pdb\n", "none.pdb does not exist"),
        ("# nothing\n", "names no structure and no run"),
        (None, "a folder of"),
    ],
)
def test_wrong_lists_are_refused(content, match, tmp_path):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=match):
        read_sources(path)


def test_folder_without_structures_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no structures"):
        read_sources(tmp_path)


def test_one_cluster_cannot_be_held_out():
    with pytest.raises(DataError, match="one cluster of sequences"):
        pack([Source(CRYSTAL)])


def test_no_chain_is_refused():
    with pytest.raises(DataError, match="no protein chain found"):
        pack([Source(DATA / "alanine_dipeptide.pdb")])


def test_packed_chains_keep_their_splits_beside_runs(tmp_path):
    crystals = packed()
    crystals.save(tmp_path / "chains.npz")
    (tmp_path / "list.txt").write_text("chains.npz\naa.pdb a.dcd b.dcd  # runs\n")
    topology = load_topology(CRYSTAL)
    app.PDBFile.writeFile(topology.to_openmm(), app.PDBFile(str(CRYSTAL)).positions, (tmp_path / "aa.pdb").open("w"))
    for name in ("a", "b"):
        with TrajectoryWriter(tmp_path / f"{name}.dcd", topology) as writer:
            frames = np.array(app.PDBFile(str(CRYSTAL)).getPositions(asNumpy=True)._value, dtype=np.float32)
            writer.write(np.stack([frames, frames]), np.arange(2))
    both = pack(read_sources(tmp_path / "list.txt"))
    assert both.names.tolist() == [*crystals.names, "aa/a:0", "aa/a:1", "aa/b:0", "aa/b:1"]
    assert both.of_md.tolist() == [False, False, True, True, True, True]
    # Of MD of one cluster, blocks of runs are held out.
    for split, frames in (("train", 3), ("validation", 1)):
        assert crystals.subset(split).names[0] in both.subset(split).names
        assert both.subset(split).of_md.sum() == frames
    assert not set(both.clusters[:2]) & set(both.clusters[2:])
