import hashlib
import re

from openmm_cgvae.report.page import ASSETS, Section, figure, page, table

# 3Dmol-min.js of 3dmol 2.5.5 in the npm registry.
PUBLISHED = "f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016"


def made(sections, verdict="", payload=None):
    return page("A & B", "lead", verdict, sections, [("file", "a<b.dcd")], payload)


def test_figures_are_numbered_in_order_and_referred_to_by_number():
    one, two = figure("first", "One", "<svg/>", "see [[second]]"), figure("second", "Two", "<svg/>", "")
    html = made([Section("s", "S", one + two)], verdict="<p>[[second]] and [[nowhere]]</p>")
    assert re.findall(r"<b>Figure (\d)\. (\w+)\.</b>", html) == [("1", "One"), ("2", "Two")]
    assert html.count('<a href="#fig-second">Figure 2</a>') == 2
    assert '<a href="#figures">the table</a>' in html and "[[" not in html.split("<script")[0]


def test_what_is_missing_has_a_sentence_and_no_empty_section():
    html = made(
        [Section("a", "A", missing=("A is left out: no data.",)), Section("b", "B", "<p>b</p>", ("b lacks c.",))]
    )
    assert '<section id="a">' not in html and 'href="#a"' not in html
    assert "Not on this page" in html and "A is left out: no data." in html
    assert html.index("b lacks c.") < html.index("Not on this page")


def test_nothing_is_loaded_from_elsewhere_and_texts_are_escaped():
    html = made([Section("b", "B", table(("x",), [("y", "1")]))])
    assert "<title>A &amp; B</title>" in html and "a&lt;b.dcd" in html
    assert not re.search(r'(src|href)="(?!#|data:)', html)
    assert "<script" not in html


def test_data_of_the_view_cannot_end_its_element():
    html = made([], payload={"title": "</script><b>"})
    assert html.count("</script>") == 3
    assert "3Dmol-LICENSE.txt" in html


def test_the_library_is_packaged_with_its_licence():
    licence = (ASSETS / "3Dmol-LICENSE.txt").read_text(encoding="utf-8")
    assert "BSD-3-Clause" in licence and "Redistribution and use in source and binary forms" in licence
    # Minified, and as it was published: what the licence says of it is of this file.
    assert hashlib.sha256((ASSETS / "3Dmol-min.js").read_bytes()).hexdigest() == PUBLISHED


def contrast(one, other):
    """Ratio of WCAG 2 between two colours."""

    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_texts_and_lines_have_the_contrast_of_level_aa_by_day_and_by_night():
    style = (ASSETS / "report.css").read_text(encoding="utf-8")
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 3, "light, dark and print"
    light = dict(re.findall(r"--([\w-]+): (#\w{6})\b", schemes[0]))
    for scheme in schemes:
        colours = light | dict(re.findall(r"--([\w-]+): (#\w{6})\b", scheme))
        for name in ("ink", "muted", "link", "good", "watch", "bad"):
            for ground in ("paper", "raised"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        for name in ("good", "watch", "bad"):
            for text in (name, "ink", "link"):
                assert contrast(colours[text], colours[f"{name}-tint"]) >= 4.5, (text, name)
        for name in ("ref", "gen", "other", "more"):
            assert contrast(colours[name], colours["paper"]) >= 3.0, name
