"""Whether structures are fit for use: every figure against a stated threshold or its floor, in plain words."""

from dataclasses import dataclass, replace

__all__ = ["STATES", "Check", "checks", "overall", "shown"]

STATES = ("good", "watch", "bad")
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
    Rule("valid_ratio_all", "{value} of the structures have exactly the molecule's bonds", 0.99, 0.9, form="percent"),
    Rule("chirality_ratio", "{value} have the right handedness", 0.9995, 0.99, form="percent"),
    Rule("cis_trans_ratio", "{value} have every peptide bond on its right side", 0.995, 0.9, "torsions", "percent"),
    Rule("clash_ratio", "{value} have a clash (heavy atoms below 1.2 \u00c5)", 0.002, 0.05, form="percent"),
    Rule("cg_consistency_max_nm", "No bead is more than {value} from its place", 1e-4, 0.01, form="length"),
    Rule("bond_w1_nm", "Bond lengths differ from MD by {value} on average", 5e-4, 3e-3, "geometry", "length"),
    Rule("angle_w1_rad", "Bond angles differ from MD by {value} on average", 0.02, 0.08, "geometry", "angle"),
    Rule("diversity_ratio", "Samples of one frame spread {value} times as far as MD does", 0.8, 0.5, worst="watch"),
    Rule("energy_excess", "After a brief minimisation energies are {value} above MD", 0.15, 1.0, "energies", "energy"),
    Rule(
        "beyond_training", "{value} of the frames have beads at distances that training did not see", 0.01, 0.5,
        form="percent", worst="watch",
    ),
)  # fmt: skip
# In place of the first, of molecules so large that one wrong bond somewhere says little.
LARGE = Rule("lambda_all", "{value} of the bonds are missing or too many", 5e-4, 5e-3, form="percent")
DIVERGENCES = (
    ("torsion_js_backbone", "Backbone torsions", "torsions"),
    ("torsion_js_side_chain", "Side-chain torsions", "torsions"),
    ("torsion_js_rotatable_hydrogen", "Rotating hydrogens", "torsions"),
    ("ramachandran_js", "Pairs of phi and psi", "ramachandran"),
    ("tica_js", "Slow motions", "tica"),
)
PROTEIN_RULES = (
    Rule("bonds", "{value} of the bonds are within 10 % of those of crystals", 0.995, 0.97, "geometry", "percent"),
    Rule("angles", "{value} of the angles are within 4 sigma of those of crystals", 0.97, 0.9, "geometry", "percent"),
    Rule("d_residues", "{value} of the residues are mirrored (D)", 0.0, 0.002, "strip", "percent"),
    Rule("clashing_residues", "{value} of the residues clash (below 1.2 \u00c5)", 0.0005, 0.01, "strip", "percent"),
    Rule(
        "contacts_2.6", "{value} close contacts (below 2.6 \u00c5) a 1,000 atoms", 5e-3, 0.05,
        "strip", "rate",
    ),
    Rule("pierced_rings", "{value} rings a 1,000 residues are pierced by a bond", 0.0, 2e-3, form="rate"),
    Rule(
        "ramachandran_outliers", "{value} of the residues are Ramachandran outliers", 0.008, 0.04,
        "ramachandran", "percent",
    ),
    Rule(
        "rotamer_outliers", "{value} of the side chains are rotamer outliers", 0.015, 0.05,
        "rotamers", "percent",
    ),
    Rule(
        "twisted_peptides", "{value} of the peptide bonds are twisted by more than 30 degrees", 0.01, 0.05, "torsions",
        "percent",
    ),
    Rule("bead_shift", "C-alphas moved by {value} on average", 0.1, 1.0, form="angstrom", worst="watch"),
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


def checks(figures, protein=None, floors=None, same_beads=True, large=False):
    """Judge figures.

    Parameters
    ----------
    figures : dict
        As of `evaluate`, and ``energy_excess``, ``beyond_training`` where known.
    protein : dict, optional
        As of `openmm_cgvae.evaluation.measures.protein_means`.
    floors : dict, optional
        The same of reference MD, which structures need not surpass.
    same_beads : bool
        Whether the beads are those of the reference; otherwise its torsions need not be those of the structures, and
        a difference is to be watched at worst.
    large : bool
        Whether single bonds are counted rather than structures without a fault.

    Returns
    -------
    list of Check
        Of what was measured.
    """
    rules = (LARGE, *RULES[1:]) if large else RULES
    found = [check for rule in rules if (check := _judged(rule, figures.get(rule.name)))]
    for name, text, figure in DIVERGENCES:
        value, floor = figures.get(name), figures.get(f"{name}_floor")
        if value is not None and floor is not None:
            found.append(_divergence(name, text, figure, value, floor, same_beads))
    values, md = ({name: entry["value"] for name, entry in (given or {}).items()} for given in (protein, floors))
    judged = (_judged(rule, values.get(rule.name), md.get(rule.name)) for rule in PROTEIN_RULES)
    return found + [check for check in judged if check]


def overall(found):
    """Return the worst state of some checks; "none" of no check."""
    states = {check.state for check in found}
    return next((state for state in reversed(STATES) if state in states), "none")


def _judged(rule, value, floor=None):
    """A `Check` of a figure with two limits, wider where MD itself is beyond; None of one that was not measured."""
    if value is None:
        return None
    if floor is not None:
        rule = _widened(rule, floor)
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


def _widened(rule, floor):
    """A rule whose limits MD keeps: a share that is wrong may be so often as in MD, times the factors above."""
    if rule.good > rule.bad:
        wrong = 1 - floor
        good, bad = (
            min(limit, 1 - factor * wrong)
            for limit, (factor, _) in zip((rule.good, rule.bad), (NEAR, FAR), strict=True)
        )
    else:
        good, bad = (
            max(limit, factor * floor) for limit, (factor, _) in zip((rule.good, rule.bad), (NEAR, FAR), strict=True)
        )
    return replace(rule, good=good, bad=bad, text=f"{rule.text}, MD has {shown(floor, rule.form)}")


def _divergence(name, text, figure, value, floor, same_beads):
    near, far = (factor * floor + margin for factor, margin in (NEAR, FAR))
    state = _state(value, near, far)
    state = "watch" if state == "bad" and not same_beads else state
    verb = {"good": "follow MD", "watch": "differ from MD", "bad": "do not follow MD"}[state]
    wanted = f"at most {near:.3f}"
    measured = f"divergence {value:.3f} nats, MD against MD {floor:.3f}"
    return Check(name, state, f"{text} {verb}: {measured} ({wanted} wanted; [[{figure}]]).", wanted)


def _state(value, good, bad):
    sign = 1 if good > bad else -1
    return "good" if sign * value >= sign * good else "bad" if sign * value < sign * bad else "watch"


def shown(value, form="plain"):
    """A figure as text."""
    if form == "percent":
        return f"{_percent(value)} %"
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


def _percent(value):
    """Never 100 of what has an exception, nor 0 of what there is."""
    for digits in (1, 2, 3, 4):
        text = f"{100 * value:.{digits}f}"
        if value in (0.0, 1.0) or 0 < float(text) < 100:
            break
    return text.rstrip("0").rstrip(".")
