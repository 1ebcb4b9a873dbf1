import json
import re
from pathlib import Path

import pytest
from conftest import DATA

from openmm_cgvae.cli.main import main

AA, TOP = str(DATA / "alanine_dipeptide.xtc"), str(DATA / "alanine_dipeptide.pdb")


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def report(tmp_path):
    """Run ``report`` and return the page."""

    def made(*arguments, code=0):
        assert main(["report", *map(str, arguments), "-o", "out.html"]) == code
        path = tmp_path / "out.html"
        return path.read_text() if path.exists() else None

    return made


def headings(html):
    return re.findall(r"<h2>(.*?)</h2>", html)


def figures(html):
    return re.findall(r'<figure id="fig-(\w+)">', html)


def test_a_model_beside_reference_md(report, model_path):
    page = report("--model", model_path, "--reference", AA, "--top", TOP, "--run-frames", 25, "--samples", 2)
    assert figures(page) == ["view", "ramachandran", "tica", "torsions", "geometry", "mapping"]
    assert "beside 200 frames of reference MD in 8 runs" in page
    assert 'id="verdict"' in page and "MD against MD" in page
    data = json.loads(re.search(r'id="view-data">(.*?)</script>', page).group(1))
    assert len(data["elements"]) == 22 and data["beads"]["names"] == ["ACE", "ALA", "NME"]
    assert {"spread", "training"} <= {key for key, value in data.items() if value}


def test_structures_alone(report):
    page = report(AA, "--top", TOP, "--stride", 10)
    assert figures(page) == ["view", "ramachandran", "torsions", "geometry"]
    assert "Without a reference" in page and "20 frames of 22 atoms" in page
    lacking = page.split("Not on this page")[1]
    for word in ("mapping", "Training curves", "Quality by residue"):
        assert word in lacking


def test_samples_of_a_frame_stand_together(report, capsys):
    page = report(AA, "--top", TOP, "--samples", 4)
    assert "50 frames with 4 structures each" in page
    assert report(AA, "--top", TOP, "--samples", 7, "--overwrite", code=2)
    assert "200 structures given, no multiple of the 7 a frame" in capsys.readouterr().err


def test_structures_of_a_model_beside_md_of_another_run(report, model_path):
    page = report(AA, "--top", TOP, "--model", model_path, "--reference", AA, "--run-frames", 25)
    assert "beads are of another run" in page
    # MD against itself.
    assert re.search(r"Backbone torsions follow MD", page)


def test_a_protein_of_a_structure(report):
    page = report("--model", "protein-ca", "--reference", DATA / "5k6d.pdb", "--samples", 2)
    assert {"strip", "rotamers", "ramachandran", "mapping"} <= set(figures(page))
    assert page.count('class="residue"') == 78
    assert "pulchra" in page and "5k6d_B" in page


def test_a_crystal_passes_and_has_its_disulfides(report):
    page = report(DATA / "5k6d.pdb", "--top", DATA / "5k6d.pdb", "--model", "protein-ca")
    assert 'data-state="good"' in page, page[page.index('id="verdict"') :][:800]
    data = json.loads(re.search(r'id="view-data">(.*?)</script>', page).group(1))
    assert len(data["beads"]["names"]) == 78
    assert len(data["cysteines"]) == 3 * 8, "four bonds between eight cysteines, shown by CA, CB and SG"
    assert data["clash"] == [[]]


def test_figures_of_an_evaluation_are_shown_as_they_are(report, model_path):
    evaluate = ["evaluate", AA, "--top", TOP, "--model", str(model_path), "--run-frames", "25", "--samples", "2"]
    assert main([*evaluate, "--stride", "4", "--json", "e.json", "--report", "e.html"]) == 0
    found = json.loads(Path("e.json").read_text())
    page = Path("e.html").read_text()
    assert f"{found['recon_rmsd_heavy_angstrom']:.3g}" in page
    assert "energies" in figures(page)
    again = report("--model", model_path, "--reference", AA, "--top", TOP, "--evaluation", "e.json")
    assert f"{found['recon_rmsd_heavy_angstrom']:.3g}" in again


def test_backmap_shows_what_it_wrote(model_path):
    assert main(["project", AA, "--top", TOP, "--model", str(model_path), "-o", "cg.dcd"]) == 0
    call = ["backmap", "cg.dcd", "--model", str(model_path), "-o", "aa.dcd", "--samples", "2", "--stride", "20"]
    assert main([*call, "--seed", "1", "--report", "page.html", "--minimize", "--iterations", "2"]) == 0
    page = Path("page.html").read_text()
    assert "10 frames with 2 structures each of 22 atoms on 3 beads" in page
    assert "energies" in figures(page)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "neither structures nor --model given"),
        (("--model", "protein-ca"), "one structure is expected"),
        (("none.dcd",), "--top is missing"),
        ((AA, "--top", TOP, "--evaluation", "none.json"), "none.json does not exist"),
        ((AA, "--top", TOP, "--samples", "0"), "1 or more is expected"),
        ((AA, "--top", TOP, "--energies", "0"), "1 or more is expected"),
        (("none.dcd", "--top", TOP), "none.dcd"),
    ],
)
def test_a_mistake_gets_one_line_and_no_page(report, capsys, arguments, text):
    assert report(*arguments, code=2) is None
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1


def test_a_model_without_reference_says_so(report, model_path, capsys):
    report("--model", model_path, code=2)
    assert "--reference is missing" in capsys.readouterr().err


def test_nothing_is_replaced_unasked(report, tmp_path, capsys):
    (tmp_path / "out.html").write_text("mine")
    assert report(AA, "--top", TOP, code=2) == "mine"
    assert "overwrite" in capsys.readouterr().err
