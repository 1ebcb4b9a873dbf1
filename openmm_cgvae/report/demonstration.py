"""The main job from end to end: a CG run with all-atom frames, backmapped, minimised, measured and drawn."""

import time

import numpy as np

from openmm_cgvae.atomistic.minimizer import Minimizer
from openmm_cgvae.backmapping.backmapper import Backmapper
from openmm_cgvae.backmapping.trajectory import backmap_trajectory
from openmm_cgvae.core.errors import SettingsError
from openmm_cgvae.core.output import check_output, existing_folder, write_json
from openmm_cgvae.io.trajectory_files import read_frames, write_topology_beside
from openmm_cgvae.molecule.graph import MolecularGraph, dihedral
from openmm_cgvae.molecule.topology import as_mdtraj_topology
from openmm_cgvae.simulation.run import run_and_backmap

__all__ = ["demonstrate"]

# Frames of the report, and structures of each.
REPORTED, SAMPLES = 400, 4


def demonstrate(model, folder, reference, steps=400_000, report_interval=100, seed=0, overwrite=False):
    """Run a model's CG system, backmap and minimise its frames, and compare them with reference MD.

    Parameters
    ----------
    model : str or path
        Bundled model or model file.
    folder : path
        Gets ``cg.dcd``, ``cg.pdb`` (the CG run), ``aa.dcd``, ``aa.pdb`` (written by the reporter during the run),
        ``minimized.dcd``, ``ramachandran.png``, ``report.html`` and ``summary.json``. Created if missing.
    reference : numpy.ndarray, shape (frames, n, 3)
        All-atom MD in nm that the model has not seen.
    steps, report_interval : int
        Of the CG run.
    seed : int
        Of the CG run and of the samples.
    overwrite : bool

    Returns
    -------
    dict
        What ``summary.json`` holds: settings, structure figures before and after minimisation, speeds.
    """
    if steps < report_interval:
        raise SettingsError(f"steps={steps} given: {report_interval} or more are expected, for one frame")
    folder = existing_folder(folder)
    backmapper = Backmapper.load(model)
    names = ("cg.dcd", "cg.pdb", "aa.dcd", "aa.pdb", "minimized.dcd", "ramachandran.png", "summary.json", "report.html")
    paths = {name: check_output(folder / name, overwrite) for name in names}
    run = run_and_backmap(
        backmapper, steps, report_interval, paths["aa.dcd"], paths["cg.dcd"], seed=seed, overwrite=True
    )
    write_topology_beside(paths["cg.dcd"], backmapper.cg_topology())
    write_topology_beside(paths["aa.dcd"], backmapper.topology)
    started = time.perf_counter()
    minimizing = backmap_trajectory(
        paths["cg.dcd"],
        backmapper,
        paths["minimized.dcd"],
        seed=seed,
        minimizer=Minimizer(backmapper.mapping, handedness=backmapper.handedness),
        overwrite=True,
    )
    minimizing_seconds = time.perf_counter() - started
    sampling_seconds = _time_sampling(backmapper, paths, seed)
    beads = read_frames(paths["cg.dcd"], backmapper.cg_topology())
    sampled, minimized = (read_frames(paths[name], backmapper.topology) for name in ("aa.dcd", "minimized.dcd"))
    summary = {
        "model": str(model),
        "steps": steps,
        "frames": len(beads),
        "seed": seed,
        "frames_per_second": len(beads) / sampling_seconds,
        "cg_run_seconds": run.seconds,
        "minimized_frames_per_second": len(beads) / minimizing_seconds,
        "median_energy_kj_mol": dict(zip(("sampled", "minimized"), minimizing.median_energies(), strict=True)),
        "left_unminimized": minimizing.n_failed,
        "sampled": _measure(backmapper, sampled, beads, reference),
        "minimized": _measure(backmapper, minimized, beads, reference),
    }
    _plot(backmapper, {"reference MD": reference, "backmapped CG run": sampled, "minimised": minimized}, paths)
    _report(backmapper, beads, reference, minimizing, paths["report.html"], seed)
    write_json(paths["summary.json"], summary)
    return summary


def _time_sampling(backmapper, paths, seed):
    """Seconds to read, backmap and write the CG run, once warm."""
    output = paths["aa.dcd"].with_name("timing.dcd")
    try:
        for _ in range(2):
            started = time.perf_counter()
            backmap_trajectory(paths["cg.dcd"], backmapper, output, seed=seed, overwrite=True, progress=False)
            seconds = time.perf_counter() - started
    finally:
        output.unlink(missing_ok=True)
    return seconds


def _measure(backmapper, positions, beads, reference):
    from openmm_cgvae.metrics import structure_summary, torsion_divergence

    graph = MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology))
    figures = structure_summary(
        positions, graph, np.array(backmapper.handedness), beads=beads, mapping=backmapper.mapping
    )
    return figures | {"torsions": torsion_divergence(positions, reference, graph)}


def _report(backmapper, beads, reference, minimizing, path, seed):
    """The page, of some frames of the CG run with several samples each."""
    from openmm_cgvae.evaluation.subject import of_structures
    from openmm_cgvae.io.thinning import thinned
    from openmm_cgvae.report.build import write_report

    frames = thinned(len(beads), REPORTED)
    structures = backmapper.sample(beads[frames], SAMPLES, seed=seed, frames=frames)
    each = (minimizing.energies_before, minimizing.energies_after)
    energies = {
        name: np.concatenate(values) / backmapper.n_atoms
        for name, values in zip(("sampled", "minimised"), each, strict=True)
    }
    title = f"{backmapper.metadata.get('name', 'demo')}: a CG run with its atoms put back"
    subject = of_structures(
        backmapper.topology, structures, backmapper, beads[frames], reference, title=title, numbers=frames,
        energies=energies, sources=[("command", "openmm-cgvae demo")],
    )  # fmt: skip
    write_report(path, subject, overwrite=True)


def _plot(backmapper, sets, paths):
    from openmm_cgvae.report.plots import plot_ramachandran

    graph = MolecularGraph.from_topology(as_mdtraj_topology(backmapper.topology))
    angles = {
        name: tuple(dihedral(positions, graph.torsions[kind]).ravel() for kind in ("phi", "psi"))
        for name, positions in sets.items()
    }
    plot_ramachandran(angles, paths["ramachandran.png"])
