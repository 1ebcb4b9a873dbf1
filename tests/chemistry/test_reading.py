"""Molecules are read from every source; what is broken is named, with its place, and does not end the reading."""

import gzip

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from openmm_cgvae.chemistry.reading import as_molecule, parsed_smiles, read_molecules
from openmm_cgvae.chemistry.usable import usable_molecules
from openmm_cgvae.core.errors import MoleculeError, SettingsError


def with_coordinates(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    return mol


@pytest.mark.parametrize(
    ("smiles", "position", "why"),
    [
        ("CC(C", 3, "not closed"), ("CC)C", 3, "closes nothing"), ("C1CCC", 2, "ring closure 1"), ("CCXC", 3, "'X'"),
        ("CC=", 3, "leads to no atom"), ("C==C", 3, "follows no atom"), ("=CC", 1, "before any atom"),
        ("CC(C)(C)(C)C", 2, "valence"), ("ccO", 1, "aromatic"), ("CC[NaQ]", 3, "no atom"), ("C[N", 2, "not closed"),
        ("c1ccccc1N(=O)(=O)(=O)C", 9, "valence"), ("CCO%12CC", 4, "ring closure %12"), ("CCé", 3, "é"),
        ("CC-(C)C", 4, "follows no atom"), ("CC()C", 4, "follows no atom"), ("C((C))C", 3, "follows no atom"),
        ("C(1CC)C1", 3, "follows no atom"),
    ],
)  # fmt: skip
def test_an_invalid_smiles_is_refused_with_the_position(smiles, position, why):
    with pytest.raises(MoleculeError, match=f"at position {position}:.*{why}"):
        parsed_smiles(smiles)


def test_an_empty_smiles_is_refused():
    with pytest.raises(MoleculeError, match="no atom"):
        parsed_smiles("")


@pytest.mark.parametrize(
    "smiles", ["C[C@H](N)C(=O)O", "[13CH4]", "C/C=C/C", "c1ccc2[nH]ccc2c1", "C%10CCCC%10", "[Fe+2]"]
)
def test_a_valid_smiles_is_read(smiles):
    assert Chem.MolToSmiles(parsed_smiles(smiles)) == Chem.CanonSmiles(smiles)


def test_broken_records_of_an_sdf_file_are_listed_and_the_others_read(tmp_path):
    good = [Chem.MolToMolBlock(with_coordinates(s)) for s in ("CCO", "C[C@H](N)C(=O)O")]
    lines = good[0].splitlines()
    without_end = "\n".join(["cut off", *lines[1:6]]) + "\n"
    five_bonds = Chem.MolToMolBlock(Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False), kekulize=False)
    text = good[0] + "$$$$\n" + without_end + "$$$$\n" + five_bonds + "$$$$\nhello\n$$$$\n" + good[1] + "$$$$\n\n"
    (tmp_path / "all.sdf").write_text(text)
    records = list(read_molecules(tmp_path / "all.sdf"))
    assert [r.mol is not None for r in records] == [True, False, False, False, True]
    assert [r.place for r in records] == [f"all.sdf:{k}" for k in range(1, 6)]
    assert "valence" in records[2].problem and "damaged" in records[1].problem
    assert Chem.MolToSmiles(Chem.RemoveHs(records[4].mol)) == "C[C@H](N)C(=O)O"


def test_a_last_record_without_its_end_mark_is_read_too(tmp_path):
    (tmp_path / "one.mol").write_text(Chem.MolToMolBlock(with_coordinates("CCO")))
    (record,) = read_molecules(tmp_path / "one.mol")
    assert record.mol.GetNumAtoms() == 9


def test_smiles_files_have_names_comments_and_broken_lines(tmp_path):
    (tmp_path / "all.smi").write_text("# a comment\nCCO ethanol 96 %\n\nC1CC\nc1ccccc1\tbenzene\nO\n")
    records = list(read_molecules(str(tmp_path / "all.smi")))
    assert [r.name for r in records] == ["ethanol 96 %", "C1CC", "benzene", "O"]
    assert records[1].mol is None and records[1].place == "all.smi:4" and "position 2" in records[1].problem


def test_mol2_files_of_several_molecules_are_read(tmp_path):
    block = (
        "@<TRIPOS>MOLECULE\n{}\n 3 2 0 0 0\nSMALL\nNO_CHARGES\n\n@<TRIPOS>ATOM\n"
        " 1 C1 0.0 0.0 0.0 C.2\n 2 O1 1.2 0.0 0.0 O.2\n 3 H1 -0.6 0.9 0.0 H\n 4 H2 -0.6 -0.9 0.0 H\n"
        "@<TRIPOS>BOND\n 1 1 2 2\n 2 1 3 1\n 3 1 4 1\n"
    ).replace(" 3 2 0 0 0", " 4 3 0 0 0")
    (tmp_path / "two.mol2").write_text(block.format("first") + block.format("second"))
    records = list(read_molecules(tmp_path / "two.mol2"))
    assert [r.name for r in records] == ["first", "second"]
    assert {Chem.MolToSmiles(Chem.RemoveHs(r.mol)) for r in records} == {"C=O"}


@pytest.mark.parametrize(
    "types", [("c", "o", "h4"), ("C", "O", "HC"), ("CG2O4", "OG2D1", "HGR52"), ("C.2", "O.2", "HX")]
)
def test_mol2_types_that_are_not_sybyls_are_named(types, tmp_path):
    kinds = (*types, types[2])
    atoms = "".join(f" {k + 1} A{k + 1} {k}.0 0.0 0.0 {kind} 1 MOL 0.1\n" for k, kind in enumerate(kinds))
    bonds = "@<TRIPOS>BOND\n 1 1 2 2\n 2 1 3 1\n 3 1 4 1\n"
    text = f"@<TRIPOS>MOLECULE\nm\n 4 3 1 0 0\nSMALL\nbcc\n\n\n@<TRIPOS>ATOM\n{atoms}{bonds}"
    (tmp_path / "gaff.mol2").write_text(text)
    (record,) = read_molecules(tmp_path / "gaff.mol2")
    first = next(k for k, kind in enumerate(kinds) if kind not in ("C", "O", "C.2", "O.2"))
    assert f"atom {first + 1} (A{first + 1}) has the type '{kinds[first]}': SYBYL's" in record.problem
    assert "antechamber -at sybyl" in record.problem


def test_pdb_files_without_hydrogens_or_orders_are_refused(tmp_path):
    mol = Chem.RemoveHs(with_coordinates("CC(=O)C"))
    text = "".join(line for line in Chem.MolToPDBBlock(mol).splitlines(True) if not line.startswith("CONECT"))
    (tmp_path / "heavy.pdb").write_text(text)
    (record,) = read_molecules(tmp_path / "heavy.pdb")
    assert record.mol is None and "no bond orders" in record.problem


def test_a_pdb_file_holds_a_molecule_up_to_each_end(tmp_path):
    blocks = [Chem.MolToPDBBlock(with_coordinates(smiles)) for smiles in ("CCO", "CC(=O)N", "C")]
    (tmp_path / "three.pdb").write_text("REMARK  \xb0C\nEND\n" + "".join(blocks) + "END\n\n", encoding="latin-1")
    records = list(read_molecules(tmp_path / "three.pdb"))
    assert [Chem.MolToSmiles(Chem.RemoveHs(r.mol)) for r in records] == ["CCO", "CC(N)=O", "C"]
    assert [(r.place, r.name) for r in records] == [(f"three.pdb:{k}", f"three-{k}") for k in (1, 2, 3)]
    (tmp_path / "one.pdb").write_text(blocks[0])
    assert [r.name for r in read_molecules(tmp_path / "one.pdb")] == ["one"]


@pytest.mark.parametrize(
    ("smiles", "charge"),
    [("O=C([O-])CC(O)(CC(=O)[O-])C(=O)[O-]", -3), ("CC[n+]1ccccc1", 1), ("C[NH2+]CC(=O)[O-]", 0)],
)
def test_charged_molecules_of_a_pdb_file_without_orders(smiles, charge, tmp_path):
    text = Chem.MolToPDBBlock(with_coordinates(smiles), flavor=2)
    lines = [line for line in text.splitlines() if line.startswith("HETATM")]
    (tmp_path / "charges.pdb").write_text("\n".join(lines))
    (tmp_path / "bare.pdb").write_text("\n".join(line[:78] for line in lines))
    for name, given in (("charges.pdb", 0), ("bare.pdb", charge)):
        assert Chem.MolToSmiles(Chem.RemoveHs(as_molecule(tmp_path / name, given))) == smiles
    (record,) = read_molecules(tmp_path / "bare.pdb", 5)
    assert record.mol is None and "net charge 5: give the charge (--charge" in record.problem


@pytest.mark.parametrize("ending", [".smi", ".SDF", ".mol", ".pdb"])
def test_gzipped_files_of_every_format_are_read(ending, tmp_path):
    mol = with_coordinates("CCO")
    text = {".smi": "CCO x", ".pdb": Chem.MolToPDBBlock(mol)}.get(ending, Chem.MolToMolBlock(mol))
    path = tmp_path / f"v1.2{ending}.gz"
    path.write_bytes(gzip.compress(text.encode()))
    (record,) = read_molecules(str(path))
    assert Chem.MolToSmiles(Chem.RemoveHs(record.mol)) == "CCO"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(MoleculeError, match="complete gzip file"):
        list(read_molecules(path))


def test_what_names_a_file_is_not_called_a_bad_smiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mols.csv", "v2.sdf.zip", "CCO"):
        (tmp_path / name).write_text("x")
        with pytest.raises(MoleculeError, match="whose name ends with"):
            list(read_molecules(name))
    for name in ("data/mols.csv", "mols.sdf.bz2", "no/C.X", "gone.smi.gz"):
        with pytest.raises(MoleculeError, match=r"[Nn]o such file"):
            list(read_molecules(name))
    for smiles in ("F/C=C/F.[Na+].[Cl-]", "C" * 5000, "C/C=C/C.Cl", "CC.CX"):
        (record,) = read_molecules(smiles)
        assert (record.mol is None) == (smiles == "CC.CX")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_cost_no_molecule(encoding, tmp_path):
    (tmp_path / "a.smi").write_bytes("CCO \xe9thanol\r\nCC b\rC c".encode(encoding))
    assert [(r.name, r.mol is None) for r in read_molecules(tmp_path / "a.smi")] == [
        ("\xe9thanol", False), ("b", False), ("c", False)
    ]  # fmt: skip


@pytest.mark.parametrize("title", ["caf\xe9 \xb0", "a\x0cb", "a\x0bb", "a\x85b", "a\x1cb"])
def test_titles_of_any_characters_are_kept(title, tmp_path):
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    (tmp_path / "a.sdf").write_bytes((title + block).encode("latin-1") + b"$$$$\n")
    (record,) = read_molecules(tmp_path / "a.sdf")
    assert record.name == title and record.mol.GetNumAtoms() == 3
    (tmp_path / "b.sdf").write_bytes(("a\u2028b" + block).encode())
    assert [r.name for r in read_molecules(tmp_path / "b.sdf")] == ["a\u2028b"]


def test_extensions_of_cxsmiles_are_no_names_and_are_said(tmp_path, caplog):
    lines = [
        "C[C@H](F)Cl |&1:1| racemate",
        "CCO\t|$a b;;$,(0,0,;1,0,;2,0,)|\tethanol",
        "CCO |o1:1|",
        "CC |x",
        "C x |y|",
    ]
    (tmp_path / "a.smi").write_text("\n".join(lines))
    records = list(read_molecules(tmp_path / "a.smi"))
    assert [r.name for r in records] == ["racemate", "ethanol", "CCO", "|x", "x |y|"]
    assert ["not taken" in "".join(r.notes) for r in records] == [True, True, True, False, False]
    assert "|&1:1|" in records[0].notes[0]
    as_molecule(lines[0])
    assert "|&1:1|" in caplog.text
    group = Chem.MolToV3KMolBlock(Chem.MolFromSmiles(lines[0]))
    (tmp_path / "a.sdf").write_text(group)
    assert "stereo groups" in usable_molecules(as_molecule(tmp_path / "a.sdf"))[1][0]


def test_what_is_no_molecule_is_refused(tmp_path):
    with pytest.raises(MoleculeError, match="cannot be read"):
        list(read_molecules(tmp_path / "missing.sdf"))
    with pytest.raises(MoleculeError, match="whose name ends"):
        list(read_molecules(tmp_path / "a.xyz"))
    with pytest.raises(MoleculeError, match="a int given"):
        as_molecule(3)
    (tmp_path / "two.smi").write_text("C\nCC\n")
    with pytest.raises(MoleculeError, match="holds 2 molecules"):
        as_molecule(tmp_path / "two.smi")


@pytest.mark.parametrize(
    ("smiles", "why"),
    [
        ("C[Zn]C", "has Zn, which"), ("C[Si](C)(C)C", "has Si"), ("C[CH]C", "atom 1 \\(C\\) has an unpaired electron"),
        ("C*C", "without an element"), ("C" * 301, "301 heavy atoms: 300"), ("[Na+].[Cl-]", "of single atoms"),
        ("C~C", "bond of atoms 0 \\(C\\) and 1 \\(C\\) has no order"),
        ("[H][H]", "hydrogen alone"), ("[H+]", "hydrogen alone"), ("[He]", "of single atoms"),
    ],
)  # fmt: skip
def test_what_no_model_knows_is_refused_by_name(smiles, why):
    with pytest.raises(MoleculeError, match=why):
        usable_molecules(parsed_smiles(smiles))


@pytest.mark.parametrize("order", [5, 8])
def test_bonds_that_a_file_leaves_open_are_refused(order, tmp_path):
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")).replace("  2  3  1  0", f"  2  3  {order}  0")
    (tmp_path / "any.sdf").write_text(block)
    for unknown in (False, True):
        with pytest.raises(MoleculeError, match="bond of atoms 1 \\(C\\) and 2 \\(O\\) has no order"):
            usable_molecules(as_molecule(tmp_path / "any.sdf"), allow_unknown=unknown)


@pytest.mark.parametrize("smiles", ["C[Si](C)(C)C", "C[CH]C", "C[Zn]C"])
def test_unknown_elements_and_radicals_are_tried_if_asked(smiles):
    (mol,), _ = usable_molecules(parsed_smiles(smiles), allow_unknown=True)
    assert mol.GetNumAtoms() > mol.GetNumHeavyAtoms()


def test_salts_are_taken_apart_and_what_is_left_out_is_said():
    molecules, notes = usable_molecules(parsed_smiles("CC(=O)[O-].CC(=O)[O-].[Cl-].c1ccccc1.O"))
    assert [Chem.MolToSmiles(Chem.RemoveHs(m)) for m in molecules] == ["CC(=O)[O-]", "c1ccccc1", "O"]
    assert "mixture" in notes[0] and "[Cl-], single atoms, left out" in notes[0]


def test_undefined_stereo_marks_are_drawn_or_enumerated_and_said():
    mol = parsed_smiles("CC(O)C(F)C=CC")
    drawn = {}
    for seed in range(6):
        (isomer,), notes = usable_molecules(mol, seed=seed)
        (again,), _ = usable_molecules(mol, seed=seed)
        assert Chem.MolToSmiles(again) == Chem.MolToSmiles(isomer)
        drawn[Chem.MolToSmiles(isomer)] = notes
    assert len(drawn) > 1 and all("3 undefined stereo marks: one isomer drawn" in n[0] for n in drawn.values())
    isomers, notes = usable_molecules(mol, stereo="enumerate")
    assert len({Chem.MolToSmiles(m) for m in isomers}) == 8 and "8 isomers enumerated" in notes[0]
    assert usable_molecules(parsed_smiles("C[C@H](O)F"))[1] == []
    # Of adamantane's four centres one combination exists.
    assert len(usable_molecules(parsed_smiles("CC12CC3CC(CC(C3)C1)C2"), stereo="enumerate")[0]) == 1
    with pytest.raises(SettingsError, match="enumerate"):
        usable_molecules(mol, stereo="all")


@pytest.mark.parametrize(
    "smiles",
    [
        "CCN=C=O",
        "FC(F)=C=C(Cl)Br",
        "C12C3C4C5C1C6C2C7C3C8C4C5C6C78",
        "C1CC2CCC1C2",
        "CC12CC3CC(CC(C3)C1)C2",
    ],
)
def test_what_has_but_one_isomer_that_marks_can_tell_is_not_said_to_lack_marks(smiles):
    for stereo in ("sample", "enumerate"):
        molecules, notes = usable_molecules(parsed_smiles(smiles), stereo=stereo)
        assert len(molecules) == 1 and notes == []


@pytest.mark.parametrize(("smiles", "count"), [("CC=C=CC(F)Cl", 2), ("C1CC2CCCC2C1", 2), ("CC1CCC(C)CC1", 2)])
def test_what_has_two_isomers_is_said_to(smiles, count):
    isomers, notes = usable_molecules(parsed_smiles(smiles), stereo="enumerate")
    assert len(isomers) == count and f"{count} isomers enumerated" in notes[0]
    assert "one isomer drawn" in usable_molecules(parsed_smiles(smiles))[1][0]


def test_isomers_keep_their_conformer_and_impossible_ones_are_left_out():
    mol = with_coordinates("CC(O)F")
    (isomer,), _ = usable_molecules(mol)
    assert isomer.GetNumConformers() == 1 and isomer.GetNumAtoms() == mol.GetNumAtoms()
    # Of norbornanol's bridgeheads only cis can be: exo and endo, each in two mirror images.
    isomers, _ = usable_molecules(parsed_smiles("OC1CC2CCC1C2"), stereo="enumerate")
    assert len({Chem.MolToSmiles(m) for m in isomers}) == 4
    sides = {Chem.MolToSmiles(Chem.RemoveHs(usable_molecules(parsed_smiles("CC=CCl"), seed=k)[0][0])) for k in range(8)}
    assert sides == {"C/C=C/Cl", "C/C=C\\Cl"}
    # Above 100 heavy atoms none is built to see.
    (long,), notes = usable_molecules(parsed_smiles("C" * 150 + "C(O)F"))
    assert "@" in Chem.MolToSmiles(Chem.RemoveHs(long)) and "one isomer drawn" in notes[0]
