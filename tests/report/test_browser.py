"""The page in a real browser, headless: skipped with the reason where none is installed."""

import shutil

import numpy as np
import pytest
from browser import Browser, find_chromium
from conftest import DATA

from openmm_cgvae.backmapping.model import Model
from openmm_cgvae.evaluation.subject import of_longest, of_model, of_structures
from openmm_cgvae.formats.structures import load_topology
from openmm_cgvae.preparation.crystalchains import chains_of_file
from openmm_cgvae.report.build import write_report

pytestmark = pytest.mark.slow

READY = "window.reportView !== undefined"
PIXELS = """(() => { const c = document.querySelector('#view canvas'), g = document.createElement('canvas');
  g.width = 80; g.height = 60; const x = g.getContext('2d'); x.drawImage(c, 0, 0, 80, 60);
  return Array.from(x.getImageData(0, 0, 80, 60).data); })()"""


@pytest.fixture(scope="module")
def browser():
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium is installed (apt-get install chromium, or set CHROMIUM)")
    with Browser(path) as page:
        yield page


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def molecule(backmapper, reference, folder):
    """A page of the small untrained model."""
    log = folder / "training.csv"
    log.write_text("epoch,train_loss,val_loss\n" + "".join(f"{k},{1 / (k + 1)},{2 / (k + 1)}\n" for k in range(5)))
    subject = of_model(backmapper, *reference, title="untrained", n_frames=40, n_samples=3, training_log=log)
    return write_report(folder / "molecule.html", subject)


def pixels(browser):
    return np.array(browser.run(PIXELS), dtype=int).reshape(60, 80, 4)[..., :3]


def moved(browser, action):
    """Share of pixels that an action changes."""
    before = pixels(browser)
    action()
    return (np.abs(pixels(browser) - before).max(-1) > 12).mean()


@pytest.fixture
def opened(browser, molecule):
    browser.open(molecule)
    browser.wait(READY)
    return browser


def test_the_view_draws_and_turns(opened):
    drawn = pixels(opened)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 50, "a picture has many colours"
    opened.run("document.getElementById('view').scrollIntoView({block: 'center', behavior: 'instant'})")
    box = "document.getElementById('view').getBoundingClientRect()"
    x, y, width, height = (opened.run(f"{box}.{name}") for name in ("x", "y", "width", "height"))
    centre = x + width / 2, y + height / 2
    assert moved(opened, lambda: opened.drag(centre, (centre[0] + 150, centre[1] + 60))) > 0.02
    key = {"type": "keyDown", "key": "ArrowLeft", "code": "ArrowLeft", "windowsVirtualKeyCode": 37}
    opened.run("document.getElementById('view').focus()")
    assert moved(opened, lambda: [opened.call("Input.dispatchKeyEvent", **key) for _ in range(4)]) > 0.02
    assert opened.complaints == []


def press(browser, name):
    browser.run(f"document.getElementById('{name}').click()")


def choose(browser, name, value):
    browser.run(f"(() => {{ const c = document.getElementById('{name}'); c.value = '{value}'; "
                "c.dispatchEvent(new Event('input')); c.dispatchEvent(new Event('change')); })()")  # fmt: skip


def test_controls_work(opened):
    assert moved(opened, lambda: choose(opened, "frame", 20)) > 0.01
    assert "frame" in opened.run("document.getElementById('frame-label').textContent")
    options = opened.run("[...document.getElementById('colour').options].map(o => o.value)")
    assert options == ["element", "bead", "sample", "spread", "clash", "training"]
    for colour in options[1:]:
        choose(opened, "colour", colour)
        assert opened.run("document.getElementById('legend').textContent").strip(), colour
    assert moved(opened, lambda: press(opened, "show-beads")) > 0.001
    assert moved(opened, lambda: press(opened, "show-hydrogens")) > 0.001
    assert moved(opened, lambda: choose(opened, "shape", "spheres")) > 0.01
    press(opened, "mode-samples")
    assert "3 samples" in opened.run("document.getElementById('frame-label').textContent")
    press(opened, "mode-frames")
    press(opened, "play")
    opened.wait("Number(document.getElementById('frame').value) !== 20")
    assert opened.run("document.getElementById('play').textContent") == "Pause"
    press(opened, "play")
    assert opened.run("document.getElementById('play').textContent") == "Play"
    assert opened.complaints == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (375, False)])
def test_the_page_fits_its_screen_and_takes_its_scheme(browser, molecule, width, dark):
    browser.open(molecule, width, dark=dark)
    browser.wait(READY)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelectorAll('svg.chart').length") >= 8
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in ground[4:-1].split(",")) < 200) == dark
    picture = browser.screenshot()
    assert picture.startswith(b"\x89PNG") and len(picture) > 20_000
    assert browser.complaints == []


def test_on_paper_there_is_a_picture_in_place_of_the_view(opened):
    opened.run("dispatchEvent(new Event('beforeprint'))")
    assert len(opened.run("document.getElementById('view-print').src")) > 2000
    opened.size(640, 480, media="print")
    assert opened.run("getComputedStyle(document.getElementById('controls')).display") == "none"
    assert opened.run("getComputedStyle(document.getElementById('view-print')).display") == "block"


def test_a_protein_of_a_crystal_and_its_strip(browser, folder):
    chain = chains_of_file(DATA / "5k6d.pdb", 5, 0.0)[0][0]
    path = write_report(folder / "protein.html", of_longest(Model.load("protein-ca"), [chain], "protein-ca", 3))
    assert path.stat().st_size < 2e6
    browser.open(path)
    browser.wait(READY)
    assert browser.run("document.querySelectorAll('.strip .residue').length") == 78
    assert browser.run("window.reportView.state.shape") == "cartoon"
    before = pixels(browser)
    browser.run("document.querySelectorAll('.strip .residue')[30].click()")
    assert (np.abs(pixels(browser) - before).max(-1) > 12).mean() > 0.05
    assert browser.complaints == []


def test_structures_alone_have_a_page_without_empty_frames(browser, folder, reference, topology):
    shutil.copy(DATA / "alanine_dipeptide.pdb", folder)
    own = load_topology(folder / "alanine_dipeptide.pdb").to_openmm()
    path = write_report(folder / "alone.html", of_structures(own, reference[0][:30], title="alone"))
    browser.open(path, 375)
    browser.wait(READY)
    assert browser.run("document.querySelectorAll('figure').length") >= 3
    drawn = "f.querySelector('svg, canvas, .sequence, .strip')"
    assert browser.run(f"[...document.querySelectorAll('figure')].filter(f => !{drawn}).length") == 0
    assert "Not on this page" in browser.run("document.body.textContent")
    assert browser.run("document.getElementById('show-beads')") is None
    assert browser.complaints == []
