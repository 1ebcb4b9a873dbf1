"""Whether structures are fit for use: every figure against a stated threshold or its floor, in plain words."""

from dataclasses import dataclass

__all__ = ["RULES", "Check", "checks", "overall", "verdict_html"]

STATES = ("good", "watch", "bad")
HEADINGS = {
    "good": "Fit for use",
    "watch": "Usable, with care",
    "bad": "Not fit for use as it is",
    "none": "No verdict",
}
# A divergence this many times its floor, and this much above (nats), still follows MD, or no longer does.
NEAR, FAR = (1.5, 0.005), (4.0, 0.03)


@dataclass(frozen=True)
class Rule:
    """How one figure is judged.

    Parameters
    ----------
    name : str
        Of the figure, as `evaluate` or `protein_figures` calls it.
    text : str
        What it says, with ``{value}``.
    good, bad : float
        Limits of what is well, and of what is not fit for use. Between them lies what to watch.
    figure : str
        The figure that shows it.
    form : {"percent", "length", "plain", "rate"}
    worst : {"bad", "watch"}
        The worst that it can lead to.
    """

    name: str
    text: str
    good: float
    bad: float
    figure: str = "view"
    form: str = "plain"
    worst: str = "bad"


# From the first thing that a user would reject structures for to the last.
RULES = (
    Rule("valid_ratio_all", "{value} of the structures have exactly the molecule's bonds", 0.99, 0.9, "view", "percent"),
    Rule("chirality_ratio", "{value} have the right handedness", 0.9995, 0.99, "view", "percent"),
    Rule("cis_trans_ratio", "{value} have every peptide bond on its right side", 0.995, 0.9, "torsions", "percent"),
    Rule("clash_ratio", "{value} have a clash (heavy atoms below 1.2 \u00c5)", 0.002, 0.05, "view", "percent"),
    Rule("cg_consistency_max_nm", "Beads of the structures are at most {value} from those given", 1e-4, 0.01, "view", "length"),
    Rule("bond_w1_nm", "Bond lengths differ from MD by {value} on average", 5e-4, 3e-3, "geometry", "length"),
    Rule("angle_w1_rad", "Bond angles differ from MD by {value} on average", 0.02, 0.08, "geometry", "angle"),
    Rule("diversity_ratio", "Samples of one frame spread {value} times as far as MD does", 0.8, 0.5, "view", "plain", "watch"),
    Rule("energy_excess", "After a brief minimisation energies are {value} above MD", 0.15, 1.0, "energies", "energy"),
    Rule("beyond_training", "{value} of the frames have beads at distances that training did not see", 0.01, 0.5, "view",
         "percent", "watch"),
)  # fmt: skip
DIVERGENCES = (
    ("torsion_js_backbone", "Backbone torsions", "torsions"),
    ("torsion_js_side_chain", "Side-chain torsions", "torsions"),
    ("torsion_js_rotatable_hydrogen", "Rotating hydrogens", "torsions"),
    ("ramachandran_js", "Pairs of phi and psi", "ramachandran"),
    ("tica_js", "Slow motions", "tica"),
)
PROTEIN_RULES = (
    Rule("bonds", "{value} of the bonds are within 10 % of those of crystals", 0.995, 0.97, "geometry", "percent"),
    Rule("angles", "{value} of the angles are within 4 standard deviations of crystals", 0.97, 0.9, "geometry", "percent"),
    Rule("d_residues", "{value} of the residues are mirrored (D)", 0.0, 0.002, "strip", "percent"),
    Rule("clashing_residues", "{value} of the residues have a clash (below 1.2 \u00c5)", 0.0005, 0.01, "strip", "percent"),
    Rule("contacts_2.6", "{value} close contacts (below 2.6 \u00c5) a 1,000 atoms; crystals have 2.5", 5e-3, 0.05, "strip", "rate"),
    Rule("pierced_rings", "{value} rings a 1,000 residues are pierced by a bond", 0.0, 2e-3, "view", "rate"),
    Rule("ramachandran_outliers", "{value} of the residues are Ramachandran outliers; crystals have 0.08 %", 0.008, 0.04,
         "ramachandran", "percent"),
    Rule("rotamer_outliers", "{value} of the side chains are rotamer outliers; crystals have 0.3 %", 0.01, 0.05, "rotamers",
         "percent"),
    Rule("twisted_peptides", "{value} of the peptide bonds are twisted by more than 30 degrees", 0.01, 0.05, "torsions",
         "percent"),
    Rule("bead_shift", "C-alphas moved by {value} on average", 0.1, 1.0, "view", "angstrom", "watch"),
)  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One figure judged.

    Parameters
    ----------
    name : str
    state : {"good", "watch", "bad"}
    text : str
        A sentence, with the limit and a reference to the figure of the page, ``[[name]]``.
    wanted : str
        The limit.
    """

    name: str
    state: str
    text: str
    wanted: str


def checks(figures, protein=None, same_beads=True):
    """Judge figures.

    Parameters
    ----------
    figures : dict
        As of `evaluate`, and ``energy_excess``, ``beyond_training`` where known.
    protein : dict, optional
        As of `openmm_cgvae.report.figures.protein_means`.
    same_beads : bool
        Whether the beads are those of the reference; otherwise its torsions need not be those of the structures, and
        a difference is to be watched at worst.

    Returns
    -------
    list of Check
        Of what was measured.
    """
    found = [check for rule in RULES if (check := _judged(rule, figures.get(rule.name)))]
    for name, text, figure in DIVERGENCES:
        value, floor = figures.get(name), figures.get(f"{name}_floor")
        if value is not None and floor is not None:
            found.append(_divergence(name, text, figure, value, floor, same_beads))
    values = {name: entry["value"] for name, entry in (protein or {}).items()}
    return found + [check for rule in PROTEIN_RULES if (check := _judged(rule, values.get(rule.name)))]


def overall(found):
    """Return the worst state of some checks; "none" of no check."""
    states = {check.state for check in found}
    return next((state for state in reversed(STATES) if state in states), "none")


def verdict_html(found, notes=()):
    """Write the verdict: what is wrong, then what to watch; what is well behind a click unless all is.

    Parameters
    ----------
    found : sequence of Check
    notes : sequence of str
        What the verdict does not cover.
    """
    state = overall(found)
    groups = {name: [check for check in found if check.state == name] for name in STATES}
    summary = _summary(state, groups)
    shown = [*groups["bad"], *groups["watch"]] or groups["good"][:4]
    rest = [check for check in groups["good"] if check not in shown]
    body = f'<ul>{"".join(_item(check) for check in shown)}</ul>' if shown else ""
    if rest:
        body += f'<details><summary>{len(rest)} more checks passed</summary><ul>{"".join(map(_item, rest))}</ul></details>'
    more = "".join(f"<p>{note}</p>" for note in notes)
    kind = "watch" if state == "none" else state
    return (
        f'<section class="verdict {kind}" id="verdict" data-state="{state}"><h2>{HEADINGS[state]}</h2><p>{summary}</p>{body}{more}</section>'
    )


def _summary(state, groups):
    total = sum(map(len, groups.values()))
    if state == "none":
        return "Nothing of these structures could be measured."
    if state == "good":
        return f"All {total} checks passed: nothing stands out."
    parts = []
    if groups["bad"]:
        parts.append(f"{_count(groups['bad'])} outside what can be used")
    if groups["watch"]:
        parts.append(f"{_count(groups['watch'])} to watch")
    return f"Of {total} checks, {' and '.join(parts)}."


def _count(found):
    return f"{len(found)} {'is' if len(found) == 1 else 'are'}"


def _item(check):
    return f'<li class="{check.state}">{check.text}</li>'


def _judged(rule, value):
    """A `Check` of a figure with two limits; None of one that was not measured."""
    if value is None:
        return None
    if rule.name == "diversity_ratio":
        # Too much is as wrong as too little.
        closeness = min(value, 1 / value) if value > 0 else 0.0
        state = _state(closeness, rule.good, rule.bad)
        wanted = f"{rule.good:g} to {1 / rule.good:g}"
    else:
        state = _state(value, rule.good, rule.bad)
        wanted = ("at least " if rule.good > rule.bad else "at most ") + shown(rule.good, rule.form)
    state = "watch" if state == "bad" and rule.worst == "watch" else state
    text = f"{rule.text.format(value=shown(value, rule.form))} ({wanted} wanted; [[{rule.figure}]])."
    return Check(rule.name, state, text, wanted)


def _divergence(name, text, figure, value, floor, same_beads):
    near, far = (factor * floor + margin for factor, margin in (NEAR, FAR))
    state = _state(value, near, far)
    state = "watch" if state == "bad" and not same_beads else state
    verb = {"good": "follow MD", "watch": "differ from MD", "bad": "do not follow MD"}[state]
    sentence = f"{text} {verb}: divergence {value:.3f} nats, MD against MD {floor:.3f} (at most {near:.3f} wanted; [[{figure}]])."
    return Check(name, state, sentence, f"at most {near:.3f}")


def _state(value, good, bad):
    sign = 1 if good > bad else -1
    return "good" if sign * value >= sign * good else "bad" if sign * value < sign * bad else "watch"


def shown(value, form="plain"):
    """A figure as text."""
    if form == "percent":
        # Never 100 % of what has an exception, nor 0 %.
        percent = 100 * value
        digits = next((d for d in (0, 1, 2, 3) if 0 < round(percent, d) < 100), 0) if 0 < value < 1 else 0
        return f"{percent:.{max(digits, 1) if 0 < value < 1 else digits}f} %"
    if form == "rate":
        return f"{1000 * value:.3g}"
    if form == "length":
        return f"{value:.2g} nm"
    if form == "angle":
        return f"{value * 57.29578:.2g} degrees"
    if form == "angstrom":
        return f"{value:.2g} \u00c5"
    if form == "energy":
        return f"{value:.2g} kJ/mol an atom"
    return f"{value:.3g}"
