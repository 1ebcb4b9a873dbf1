"""PDB and mmCIF files say the same atoms, and broken ones are refused."""

import gzip

import numpy as np
import pytest
from proteinchains import FOLDER

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.preparation.atomrecords import is_structure, read_atoms

PDB = FOLDER / "5k6d.pdb"
COLUMNS = ("group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "auth_comp_id", "auth_asym_id",
           "auth_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy",
           "pdbx_PDB_model_num")  # fmt: skip


def cif_text(atoms, resolution="1.14", models=1):
    """An mmCIF file of records."""
    lines = ["data_TEST", "#", f"_refine.ls_d_res_high   {resolution}", "#", "loop_"]
    lines += [f"_atom_site.{name} " for name in COLUMNS]
    for model in range(1, models + 1):
        for k, atom in enumerate(atoms):
            name = f'"{atom.name}"' if "'" in atom.name else atom.name
            lines.append(
                f"ATOM {k} C {name} {atom.alternate or '.'} {atom.residue} {atom.chain} {atom.number} "
                f"{atom.insertion or '?'} {' '.join(f'{x:.3f}' for x in atom.position)} {atom.occupancy:.2f} {model}"
            )
    return "\n".join([*lines, "#", "_other.thing   1", ""])


def test_both_formats_give_the_same_atoms(tmp_path):
    atoms, resolution = read_atoms(PDB)
    assert len(atoms) == 565 and np.isnan(resolution)
    (tmp_path / "a.cif").write_text(cif_text(atoms, models=2))
    assert read_atoms(tmp_path / "a.cif") == (atoms, 1.14)


def test_resolution_of_a_pdb_file_is_read(tmp_path):
    path = tmp_path / "a.pdb"
    path.write_text("REMARK   2 RESOLUTION.    1.85 ANGSTROMS.\n" + PDB.read_text())
    assert read_atoms(path)[1] == 1.85
    path.write_text("REMARK   2 RESOLUTION. NOT APPLICABLE.\n" + PDB.read_text())
    assert np.isnan(read_atoms(path)[1])


def test_gzipped_files_are_read(tmp_path):
    path = tmp_path / "a.pdb.gz"
    path.write_bytes(gzip.compress(PDB.read_bytes()))
    assert is_structure(path) and read_atoms(path)[0] == read_atoms(PDB)[0]


def test_only_the_first_model_is_read(tmp_path):
    path, lines = tmp_path / "a.pdb", [line for line in PDB.read_text().splitlines() if line.startswith("ATOM")]
    path.write_text("\n".join(["MODEL 1", *lines, "ENDMDL", "MODEL 2", *lines, "ENDMDL", ""]))
    assert len(read_atoms(path)[0]) == len(lines)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.pdb", "nothing"), ("a.pdb", "ATOM      1  CA  ALA A   1      no number here at all"), ("a.cif", "data_X\n"),
     ("a.cif", "loop_\n_atom_site.group_PDB\n_atom_site.Cartn_x\nATOM x\n"), ("a.pdb.gz", "not gzipped")],
)  # fmt: skip
def test_other_files_are_refused(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match="a PDB or mmCIF file is expected"):
        read_atoms(tmp_path / name)
