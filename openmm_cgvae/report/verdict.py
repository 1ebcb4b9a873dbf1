"""The verdict as it stands at the head of the page."""

from openmm_cgvae.evaluation.judgement import STATES, overall

__all__ = ["verdict_html"]

HEADINGS = {
    "good": "Fit for use",
    "watch": "Usable, with care",
    "bad": "Not fit for use as it is",
    "none": "No verdict",
}


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
    body = f"<ul>{''.join(_item(check) for check in shown)}</ul>" if shown else ""
    if rest:
        summed = f"{len(rest)} more check{'s' if len(rest) > 1 else ''} passed"
        body += f"<details><summary>{summed}</summary><ul>{''.join(map(_item, rest))}</ul></details>"
    more = "".join(f"<p>{note}</p>" for note in notes)
    kind = "watch" if state == "none" else state
    opening = f'<section class="verdict {kind}" id="verdict" data-state="{state}">'
    return f"{opening}<h2>{HEADINGS[state]}</h2><p>{summary}</p>{body}{more}</section>"


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
