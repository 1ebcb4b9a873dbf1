"""The map command, from its own parser."""

import pytest
from conftest import DATA

from openmm_cgvae.cli.main import parser
from openmm_cgvae.cli.summary import tell
from openmm_cgvae.core.errors import DataError, MappingError, OutputError, SettingsError, TopologyMismatchError
from openmm_cgvae.molecule.mapping import CGMapping, alpha_carbon_mapping, residue_mapping
from openmm_cgvae.molecule.mapping.autograin import autograin_mapping
from openmm_cgvae.molecule.mapping.backbone import backbone_mapping
from openmm_cgvae.molecule.mapping.community import community_mapping
from openmm_cgvae.preparation import mappings

AA, TOP = str(DATA / "alanine_dipeptide.xtc"), str(DATA / "alanine_dipeptide.pdb")


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments, trajectory=AA):
    options = parser().parse_args(["map", trajectory, "--top", TOP, "-o", "mapping.json", *arguments])
    tell(options.run(options), options)
    return CGMapping.load("mapping.json")


@pytest.mark.parametrize("weights", ["geometric", "mass"])
def test_methods_write_what_the_library_makes(topology, reference, weights):
    positions = reference[0]
    asked = ["--weights", weights, "--overwrite", "--method"]
    assert run(*asked, "backbone", "--beads", "4", "--seed", "3") == backbone_mapping(
        topology, positions, 4, 3, weights
    )
    assert run(*asked, "community", "--beads", "5") == community_mapping(topology, 5, weights)
    assert run(*asked, "residue") == residue_mapping(topology, weights)
    learned = run(*asked, "autograin", "--beads", "3", "--seed", "3", "--epochs", "2")
    assert learned == autograin_mapping(topology, positions, 3, 3, 2, weights)


def test_alpha_carbon(topology):
    assert run("--method", "alpha-carbon") == alpha_carbon_mapping(topology)


def test_table_names_every_bead(capsys):
    run("--method", "residue")
    out = capsys.readouterr().out
    assert "ALA" in out and "ALA2 10" in out and "radius/nm" in out
    assert "22 atoms on 3 beads in mapping.json" in out


def test_long_trajectories_are_read_evenly(topology, reference, monkeypatch):
    monkeypatch.setattr(mappings, "MAX_FRAMES", 60)
    positions = mappings.read_evenly(AA, topology)
    assert positions.shape == (50, 22, 3)
    assert (positions == reference[0][::4]).all()


def test_a_pdb_file_is_a_trajectory():
    assert run("--method", "backbone", "--beads", "3", trajectory=TOP).n_beads == 3


def test_existing_output_stays():
    run("--method", "residue")
    with pytest.raises(OutputError, match="--overwrite"):
        run("--method", "alpha-carbon")
    assert run("--method", "alpha-carbon", "--overwrite").n_beads == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--method", "autograin"], SettingsError, "--beads is missing"),
        (["--method", "community"], SettingsError, "--beads is missing"),
        (["--method", "residue", "--beads", "3"], SettingsError, "--beads is not for"),
        (["--method", "alpha-carbon", "--weights", "mass"], SettingsError, "--weights is not for"),
        (["--method", "backbone", "--beads", "10"], MappingError, "from 1 to 9"),
        (["--method", "autograin", "--beads", "23"], MappingError, "from 1 to 22"),
        (["--method", "autograin", "--beads", "3", "--epochs", "0"], SettingsError, "epochs=0"),
        (["--method", "backbone", "--beads", "3", "--seed", "-1"], SettingsError, "seed=-1"),
    ],
)
def test_mistakes_get_a_line_and_leave_nothing(tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        run(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_one_frame_is_too_few_for_autograin():
    with pytest.raises(DataError, match="frames given: 1;"):
        run("--method", "autograin", "--beads", "3", trajectory=TOP)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        run("--method", "residue", trajectory="none.xtc")
    lines = (DATA / "alanine_dipeptide.pdb").read_text().splitlines()
    (tmp_path / "part.pdb").write_text("\n".join(lines[:15]) + "\nEND\n")
    with pytest.raises(TopologyMismatchError):
        run("--method", "residue", "--top", "part.pdb")


def test_unknown_methods_list_the_known(capsys):
    with pytest.raises(SystemExit):
        run("--method", "autograine")
    assert "autograin" in capsys.readouterr().err
