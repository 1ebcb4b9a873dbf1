import subprocess
import sys

import numpy as np
import pytest

from openmm_cgvae.core.errors import DataError, OutputError
from openmm_cgvae.report import plot_ramachandran, plot_training

HEADER = "epoch,train_loss,val_loss,val_msd,val_graph,val_kl,learning_rate,seconds,note\n"


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    means = {"reference": 2.4, "model": 0.0}
    return {name: (rng.normal(-1.2, 0.4, (500, 2)), rng.normal(mean, 4.0, (500, 2))) for name, mean in means.items()}


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    rows = [f"{e},{1 / (e + 1)},{2 / (e + 1)},0.1,0.02,{0.0 if e < 2 else 0.3},1e-3,12.5,fine" for e in range(9)]
    # The last line as a run that was stopped leaves it.
    path.write_text(HEADER + "\n".join([*rows, "9,0.1,"]) + "\n")
    return path


def colours(path):
    from matplotlib.image import imread

    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    red, green, blue = (imread(path)[..., :3].reshape(-1, 3) * 255).astype(int).T
    packed = np.unique((red << 16) + (green << 8) + blue)
    return {(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in packed}


def test_ramachandran_is_a_picture(sets, tmp_path):
    plot_ramachandran(sets, tmp_path / "map.png")
    assert len(colours(tmp_path / "map.png")) > 50


def test_svg_names_every_set_and_its_count(sets, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot_ramachandran(sets, tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text()
    assert text.count("1,000 samples") == 2
    assert "reference" in text and "model" in text


def test_training_draws_every_line_in_its_own_colour(log, tmp_path):
    plot_training(log, tmp_path / "training.png")
    seen = colours(tmp_path / "training.png")
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= seen


def test_one_epoch_and_few_columns_are_enough(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,train_loss\n0,0.5\n")
    plot_training(log, tmp_path / "training.png")
    assert (0, 114, 178) in colours(tmp_path / "training.png")


@pytest.mark.parametrize("text", [HEADER, "epoch,seconds\n0,1\n", "train_loss\n1\n", "epoch,train_loss\n0,abc\n"])
def test_a_log_with_nothing_to_draw_is_refused(tmp_path, text):
    log = tmp_path / "log.csv"
    log.write_text(text)
    with pytest.raises(DataError, match=r"log\.csv"):
        plot_training(log, tmp_path / "training.png")


def test_missing_log(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        plot_training(tmp_path / "none.csv", tmp_path / "training.png")


@pytest.mark.parametrize("name", ["none/map.png", "map.xyz"])
def test_unwritable_file_is_refused(sets, tmp_path, name):
    with pytest.raises(OutputError):
        plot_ramachandran(sets, tmp_path / name)


@pytest.mark.parametrize("broken", [{}, {"a": ([], [])}, {"a": ([1.0], [1.0, 2.0])}])
def test_broken_sets_are_refused(tmp_path, broken):
    with pytest.raises(DataError):
        plot_ramachandran(broken, tmp_path / "map.png")


def test_pyplot_is_left_alone(tmp_path):
    code = (
        "import sys; from openmm_cgvae.report import plot_ramachandran;"
        f"plot_ramachandran({{'one': ([0.0], [0.0])}}, {str(tmp_path / 'map.png')!r});"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
