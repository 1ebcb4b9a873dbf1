"""The paper's benchmark on any molecule: every model on every mapping, split and fold, one file each."""

import itertools
import math
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from openmm_cgvae.core.checks import checked_count
from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.core.fingerprint import check_same_folder
from openmm_cgvae.core.lock import locked
from openmm_cgvae.core.output import existing_folder, write_json
from openmm_cgvae.core.progress import progress_bar
from openmm_cgvae.evaluation.exporting import held_out_figures, model_file
from openmm_cgvae.io.cluster import made_in_order
from openmm_cgvae.io.results import BENCHMARK_CASE, read_log, read_record
from openmm_cgvae.models.config import ModelConfig, TrainingConfig
from openmm_cgvae.models.export import script_model
from openmm_cgvae.preparation.dataset import prepare_dataset
from openmm_cgvae.training.baselines import BASELINES, BaselineConfig, fit_baseline
from openmm_cgvae.training.dataset import Dataset
from openmm_cgvae.training.trainer import Trainer

__all__ = ["MODELS", "SPLITS", "BenchmarkSettings", "collect", "run_benchmark", "split_fold"]

# The networks alone, and with the bounds projection after them: one training.
CGVAES = ("cgvae-raw", "cgvae")
MODELS = (*BASELINES, *CGVAES)
SPLITS = ("runs", "shuffled")


@dataclass(frozen=True)
class BenchmarkSettings:
    """Settings of the benchmark.

    Parameters
    ----------
    models : sequence of {"linear", "mlp", "geometric", "cgvae-raw", "cgvae"}
        The raw CGVAE is what its networks give, before the bounds projection; both share one training.
    splits : sequence of {"runs", "shuffled"}
        Folds of whole runs, or of shuffled frames as in the paper.
    folds : int
        Each is held out once (paper, section 5.1: 5).
    minutes : float
        Longest training of a fold, on top of the epochs of the configurations.
    samples : int
        All-atom structures a test frame.
    test_frames : int
        Frames of a fold that are measured, evenly spaced, at most.
    seed : int
        Of folds, training and samples.
    baseline_config : BaselineConfig
    model_config, training_config : ModelConfig, TrainingConfig
        Of the CGVAE; seed and test fraction are replaced.

    Raises
    ------
    SettingsError
        If a number is out of its range, or a model or split is unknown.
    """

    models: tuple = MODELS
    splits: tuple = SPLITS
    folds: int = 5
    minutes: float = math.inf
    samples: int = 8
    test_frames: int = 2000
    seed: int = 0
    baseline_config: BaselineConfig = field(default_factory=BaselineConfig)
    model_config: ModelConfig = field(default_factory=ModelConfig)
    training_config: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self):
        for name, value in (("folds", self.folds), ("samples", self.samples), ("test_frames", self.test_frames)):
            checked_count(name, value)
        for name, least in (("folds", 2), ("samples", 1), ("test_frames", 2)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name}={getattr(self, name)} given: {least} or more is expected")
        if not self.minutes > 0:
            raise SettingsError(f"minutes={self.minutes} given: a positive number is expected")
        for name, known in (("models", MODELS), ("splits", SPLITS)):
            unknown = set(getattr(self, name)) - set(known)
            if unknown:
                raise SettingsError(f"{name} {', '.join(sorted(unknown))} given: of {', '.join(known)} is expected")

    def of_model(self, model):
        """What the figures of a model depend on, in JSON types."""
        names = ("baseline_config",) if model in BASELINES else ("model_config", "training_config")
        numbers = {name: getattr(self, name) for name in ("folds", "samples", "test_frames", "seed")}
        # JSON has no infinity.
        numbers["minutes"] = self.minutes if math.isfinite(self.minutes) else None
        return numbers | {name: asdict(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class _Case:
    """One training and its figures."""

    mapping: str
    model: str
    split: str
    fold: int

    @property
    def name(self):
        return f"{self.mapping}.{self.model}.{self.split}.{self.fold}"


def run_benchmark(positions, runs, mappings, folder, settings=None, command=None, progress=True, client=None):
    """Train and measure every model on every mapping, split and fold.

    A figure once measured is kept in ``folder/cases``; a call that was stopped goes on when it is repeated, and so
    does a CGVAE in the middle of its training. More models, splits or mappings may be added to a folder later.

    Parameters
    ----------
    positions : numpy.ndarray, shape (frames, n, 3)
        Reference MD in nm, molecules whole.
    runs : int array, shape (frames,)
        Independent run of every frame.
    mappings : dict of str to CGMapping
    folder : path
        Created if missing; its parent must exist.
    settings : BenchmarkSettings, optional
    command : str, optional
        What to note beside each figure as its origin.
    progress : bool
    client : distributed.Client, optional
        Of a Dask cluster whose workers train and measure a case each; `folder` is one that they share.

    Returns
    -------
    dict
        Of the whole folder, see `collect`.

    Raises
    ------
    SettingsError
        If the folder holds a case of the same name with other settings or data.
    DataError
        If there are fewer runs (or frames) than folds.
    """
    settings, folder = settings or BenchmarkSettings(), existing_folder(folder)
    for split in settings.splits:
        split_fold(runs, settings.folds, 0, settings.seed, split == "shuffled")
    each = list(itertools.product(settings.models, settings.splits, range(settings.folds)))
    with locked(folder), progress_bar(total=len(mappings) * len(each), unit="case", shown=progress) as bar:
        for name, mapping in mappings.items():
            dataset = prepare_dataset(positions, runs, mapping, temperature=None)
            one = partial(_complete, dataset, settings, folder.resolve(), command, progress and client is None)
            for _ in made_in_order(one, [_Case(name, *chosen) for chosen in each], client):
                bar.update()
    return collect(folder)


def split_fold(runs, n_folds, fold, seed, shuffled=False):
    """Frames to train on and frames to test on.

    Parameters
    ----------
    runs : int array, shape (frames,)
    n_folds, fold : int
    seed : int
    shuffled : bool
        Deal out single frames, as the paper does, in place of whole runs: frames from just before and after a test
        frame are then trained on.

    Returns
    -------
    train, test : int arrays
        Sorted.

    Raises
    ------
    DataError
        If there are fewer runs (or frames) than folds.
    """
    units = np.arange(len(runs)) if shuffled else np.asarray(runs)
    names = np.unique(units)
    if len(names) < n_folds:
        what = "frames" if shuffled else "runs"
        raise DataError(f"{len(names)} {what} given for {n_folds} folds: give more {what}, or fewer folds")
    order = np.random.Generator(np.random.Philox(seed)).permutation(names)
    held_out = np.isin(units, np.array_split(order, n_folds)[fold])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _complete(dataset, settings, folder, command, progress, case):
    """Measure a case, unless its file tells that it was."""
    path = existing_folder(folder / "cases") / f"{case.name}.json"
    identity = {
        **asdict(case),
        "data_sha256": dataset.sha256,
        "beads": dataset.description["mapping"]["beads"],
        "settings": settings.of_model(case.model),
    }
    if path.exists():
        known = _read_case(path)
        stored = {name: known.get(name) for name in identity}
        check_same_folder(identity, stored, path, what="is of other data or settings")
        return
    train, test = split_fold(dataset.runs, settings.folds, case.fold, settings.seed, case.split == "shuffled")
    module, spent = _trained(case, dataset, train, settings, folder, progress)
    measured = test[np.unique(np.linspace(0, len(test) - 1, settings.test_frames).round().astype(int))]
    file = model_file(module, dataset, (train, train[:0], test), name=case.name)
    residues = [name for name, _, _ in dataset.description["mapping"]["topology"]["residues"]]
    case_file = identity | {"n_beads": dataset.spec.n_beads, "residues": residues, "command": command}
    case_file["training"] = spent
    case_file["figures"] = held_out_figures(file, dataset, measured, settings.samples, settings.seed)
    write_json(path, case_file)


def _trained(case, dataset, train, settings, folder, progress):
    """The scripted model of a case, and what its training took: epochs and minutes."""
    if case.model in BASELINES:
        config = replace(settings.baseline_config, seed=settings.seed)
        started = time.monotonic()
        module = fit_baseline(case.model, dataset, train, config, settings.minutes, progress)
        return module, {"epochs": module.model.epochs_done, "minutes": (time.monotonic() - started) / 60}
    part = Dataset(dataset.positions[train], dataset.runs[train], dataset.spec, dataset.description)
    config = replace(settings.training_config, seed=settings.seed, test_fraction=0.0)
    trained = existing_folder(folder / "training") / f"{case.mapping}.{case.split}.{case.fold}"
    trainer = Trainer(part, trained, settings.model_config, config)
    model = trainer.run(settings.minutes - _minutes_spent(trained), progress)
    module = script_model(model)
    module.bounded = case.model == "cgvae"
    return module, {"epochs": trainer.epoch, "minutes": _minutes_spent(trained)}


def _minutes_spent(folder):
    """Minutes of all epochs that the log of a training tells of."""
    path = Path(folder) / "training.csv"
    return sum(float(row["seconds"]) for row in read_log(path)) / 60 if path.exists() else 0.0


def _read_case(path):
    return read_record(path, BENCHMARK_CASE, "case of a benchmark", "'openmm-cgvae benchmark'")


def collect(folder):
    """Summarise all cases of a folder.

    Returns
    -------
    dict
        ``commands``, ``residues``, and ``results``: for every mapping, model and split ``n_beads``, ``folds`` (how
        many are done), ``settings``, mean ``epochs`` and ``minutes`` of training, and ``figures``, each with
        ``mean``, ``standard_error`` (over folds; None of a single one) and ``folds`` that have it.

    Raises
    ------
    DataError
        If there is no case.
    """
    cases = [_read_case(path) for path in sorted(Path(folder).glob("cases/*.json"))]
    if not cases:
        raise DataError(f"no case in {folder}: run the benchmark first")
    groups = {}
    for case in cases:
        groups.setdefault((case["n_beads"], case["mapping"], case["model"], case["split"]), []).append(case)
    return {
        "commands": sorted({case["command"] for case in cases if case["command"]}),
        "residues": cases[0]["residues"],
        "results": [_summary(group) for _, group in sorted(groups.items())],
    }


def _summary(cases):
    first = cases[0]
    kept = {name: first[name] for name in ("mapping", "n_beads", "model", "split", "settings")}
    spent = {name: float(np.mean([case["training"][name] for case in cases])) for name in ("epochs", "minutes")}
    names = [name for name, value in first["figures"].items() if not isinstance(value, dict | list)]
    figures = {name: _mean([case["figures"][name] for case in cases]) for name in names}
    return kept | {"folds": len(cases), **spent, "figures": figures}


def _mean(values):
    """Mean and standard error of the folds that have the figure."""
    values = np.array([value for value in values if value is not None], dtype=float)
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return {"mean": float(values.mean()) if len(values) else None, "standard_error": error, "folds": len(values)}
