import pytest

from openmm_cgvae.evaluation.judgement import checks, overall, shown
from openmm_cgvae.report.verdict import verdict_html

GOOD = {"valid_ratio_all": 1.0, "chirality_ratio": 1.0, "torsion_js_backbone": 0.02, "torsion_js_backbone_floor": 0.02}


def states(found):
    return {check.name: check.state for check in found}


def test_sound_structures_that_follow_md_are_fit_for_use():
    found = checks(GOOD)
    assert set(states(found).values()) == {"good"}
    html = verdict_html(found)
    assert 'data-state="good"' in html and "Fit for use" in html and "[[torsions]]" in html


@pytest.mark.parametrize(
    ("change", "state", "heading"),
    [
        ({"valid_ratio_all": 0.95}, "watch", "Usable, with care"),
        ({"valid_ratio_all": 0.5}, "bad", "Not fit for use"),
        ({"chirality_ratio": 0.9}, "bad", "Not fit for use"),
        # Near: 1.5 times the floor and 0.005; far: 4 times and 0.03, of a floor of 0.02.
        ({"torsion_js_backbone": 0.034}, "good", "Fit for use"),
        ({"torsion_js_backbone": 0.036}, "watch", "Usable"),
        ({"torsion_js_backbone": 0.109}, "watch", "Usable"),
        ({"torsion_js_backbone": 0.111}, "bad", "Not fit"),
        ({"diversity_ratio": 1.3}, "watch", "Usable"),
        ({"diversity_ratio": 0.1}, "watch", "Usable"),
        ({"cg_consistency_max_nm": 0.5}, "bad", "Not fit"),
    ],
)
def test_a_figure_past_its_limit_decides(change, state, heading):
    found = checks(GOOD | change)
    assert overall(found) == state
    assert heading in verdict_html(found)


def test_what_was_not_measured_is_not_judged():
    assert checks({"torsion_js_side_chain": None, "tica_js": 0.1}) == []
    html = verdict_html([])
    assert "No verdict" in html and 'data-state="none"' in html


def test_torsions_of_another_run_are_watched_at_worst():
    figures = {"torsion_js_backbone": 0.6, "torsion_js_backbone_floor": 0.02}
    assert overall(checks(figures)) == "bad"
    assert overall(checks(figures, same_beads=False)) == "watch"


def test_one_wrong_bond_in_a_large_molecule_does_not_condemn_it():
    figures = {"valid_ratio_all": 0.8, "lambda_all": 1e-4}
    assert overall(checks(figures)) == "bad"
    assert states(checks(figures, large=True)) == {"lambda_all": "good"}


def test_structures_need_not_be_better_than_md():
    protein = {"ramachandran_outliers": {"value": 0.03}, "angles": {"value": 0.86}}
    assert overall(checks({}, protein)) == "bad"
    hot = {"ramachandran_outliers": {"value": 0.025}, "angles": {"value": 0.9}}
    found = checks({}, protein, hot)
    assert set(states(found).values()) == {"good"}
    assert "MD has 2.5 %" in next(check.text for check in found if check.name == "ramachandran_outliers")


def test_the_worst_stand_first_and_the_rest_behind_a_click():
    found = checks(GOOD | {"valid_ratio_all": 0.95, "chirality_ratio": 0.5})
    html = verdict_html(found)
    first, rest = html.split("<details>")
    assert first.index("handedness") < first.index("exactly the molecule's bonds")
    assert "Backbone torsions follow MD" in rest and "1 more check passed" in rest


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1.0, "percent", "100 %"), (0.0, "percent", "0 %"), (0.99984, "percent", "99.98 %"),
        (0.00004, "percent", "0.004 %"), (0.875, "percent", "87.5 %"), (0.0005, "length", "0.0005 nm"),
        (0.02, "angle", "1.1 degrees"), (0.0025, "rate", "2.5"),
    ],
)  # fmt: skip
def test_figures_read_as_they_are(value, form, text):
    assert shown(value, form) == text
