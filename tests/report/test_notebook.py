import numpy as np
import pytest

import openmm_cgvae
from openmm_cgvae.backmapping.trajectory import BackmapSummary
from openmm_cgvae.core.errors import MissingDependencyError, PositionsError
from openmm_cgvae.evaluation.evaluate import evaluate
from openmm_cgvae.report.notebook import view


def test_a_backmapper_a_mapping_and_a_summary_are_tables(backmapper, mapping):
    table = backmapper._repr_html_()
    assert "untrained" in table and "22 atoms on 3 beads" in table
    beads = mapping._repr_html_()
    assert beads.count("<tr>") == 4 and "ALA" in beads and "CH3" in beads
    summary = BackmapSummary(
        n_frames=1000, n_samples=2, seed=7, energies_before=[np.ones(3)], energies_after=[-np.ones(3)]
    )
    assert "2,000, 2 of each of 1,000 frames" in summary._repr_html_()
    assert "1 before, -1 after" in summary._repr_html_()


def test_an_evaluation_is_a_dict_that_shows_its_floors(backmapper, reference):
    found = evaluate(backmapper, *reference, n_samples=2, minimize=False, progress=False)
    assert isinstance(found, dict) and found.case.samples.shape == (200, 2, 22, 3)
    table = found._repr_html_()
    assert f"{found['ramachandran_js_floor']:.4g}" in table and "md_" not in table


def test_structures_are_shown_by_py3dmol(backmapper, reference):
    pytest.importorskip("py3Dmol")
    beads = backmapper.mapping.project(reference[0][:3])
    scene = view(backmapper, backmapper.sample(beads, 2, seed=1), beads)
    script = scene.startjs
    assert script.count("MODEL") >= 6 and "ACE" in script and "addSphere" in script
    assert openmm_cgvae.view is view


def test_positions_of_another_molecule_are_refused(backmapper):
    with pytest.raises(PositionsError, match=r"\(\.\.\., 22, 3\) expected"):
        view(backmapper, np.zeros((2, 21, 3)))


def test_without_a_viewer_there_is_a_hint(backmapper, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "py3Dmol", None)
    monkeypatch.setitem(__import__("sys").modules, "nglview", None)
    with pytest.raises(MissingDependencyError, match="pip install py3Dmol"):
        view(backmapper, np.zeros((22, 3)))
