"""Show a model or what it made: one HTML page with a verdict, structures in 3D, and every figure.

With a model alone, its bundled reference is used. With --reference, structures are sampled for the beads of that MD
(or, of a model of any protein, of that PDB file) and compared with it. Structures that were made before, as those of
backmap, are taken as they are.
"""

import json
from pathlib import Path

from openmm_cgvae.cli.common import add_overwrite, add_salvage, add_topology, add_trust
from openmm_cgvae.cli.pages import command_source, write_and_tell
from openmm_cgvae.core.errors import DataError, SettingsError
from openmm_cgvae.core.output import check_output

__all__ = ["add_arguments", "run"]

# Frames that are measured and drawn of a trajectory, at most.
FRAMES = 5000
# Residues of a protein that is reported on, at least.
SHORTEST = 3


def add_arguments(parser):
    parser.add_argument("structures", nargs="*", metavar="AA.dcd", help="all-atom structures made before")
    parser.add_argument("-o", "--output", required=True, metavar="report.html", help="the page to write")
    parser.add_argument("--model", metavar="NAME_OR_FILE", help="a bundled model or a model file")
    add_trust(parser)
    add_topology(parser, "all atoms", required=False)
    parser.add_argument(
        "--reference", nargs="+", default=[], metavar="MD.dcd",
        help="MD of the same atoms to compare with, a run each; of a model of any protein a PDB or mmCIF file",
    )  # fmt: skip
    parser.add_argument(
        "--run-frames", type=int, metavar="n", help="frames a run of the reference, where a file holds several"
    )
    parser.add_argument("--stride", type=int, default=1, metavar="n", help="use every n-th frame (1)")
    parser.add_argument("--samples", type=int, metavar="K", help="structures a frame: to sample (4), or given (1)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same page (0)")
    parser.add_argument(
        "--evaluation", metavar="out.json", help="figures of evaluate, which are then not measured again"
    )
    parser.add_argument("--training", metavar="FOLDER", help="of a training, whose curves are drawn")
    parser.add_argument("--energies", type=int, metavar="n", help="minimise n structures for their energies (none)")
    parser.add_argument("--title", help="of the page")
    add_salvage(parser)
    add_overwrite(parser)


def run(options):
    output = check_output(options.output, options.overwrite, [*options.structures, *options.reference])
    if not options.structures and options.model is None:
        raise SettingsError("neither structures nor --model given: give one, or both")
    subject = _subject(options)
    if options.energies is not None:
        from openmm_cgvae.evaluation.energies import measure_energies

        measure_energies(subject, options.energies)
    write_and_tell(output, subject)


def _subject(options):
    """The `Subject` that was asked for."""
    from openmm_cgvae.backmapping.model import Model

    model = None if options.model is None else Model.load(options.model, trust=options.trust)
    more = {"training_log": _log(options.training), "sources": list(_sources(options))}
    if options.evaluation:
        more["figures"] = _figures(options.evaluation)
    if options.structures:
        return _of_structures(options, model, more)
    if model.of_any_molecule:
        if model.file.kind != "protein":
            raise SettingsError(f"{options.model} given, of {model.serves}: give structures that it made")
        return _of_protein(options, model, more)
    return _of_model(options, model, more)


def _of_structures(options, model, more):
    from openmm_cgvae.evaluation.subject import of_structures
    from openmm_cgvae.formats.structures import load_topology
    from openmm_cgvae.io.thinning import read_structures

    topology = load_topology(options.top or _topology(options.structures[0]))
    positions, numbers = read_structures(
        options.structures, topology, FRAMES, _samples(options, 1), options.stride, options.salvage
    )
    reference, runs = _reference(options, topology)
    mapping, known = _mapping(model, topology)
    more |= {} if mapping is None else {"mapping": mapping}
    more |= {} if model is None else {"metadata": model.metadata}
    return of_structures(
        topology.to_openmm(), positions, known, reference=reference, runs=runs, numbers=numbers,
        title=options.title or Path(options.structures[0]).name, **more,
    )  # fmt: skip


def _mapping(model, topology):
    """The mapping of a model on the atoms of a topology, and what knows more of it."""
    if model is None:
        return None, None
    if model.of_any_molecule:
        from openmm_cgvae.cli.anyprotein import projection

        try:
            return projection(model, topology), None
        except SettingsError:
            # Martini's beads, which the page then is without.
            return None, None
    backmapper = model.bind()
    backmapper.mapping.check_topology(topology)
    return backmapper.mapping, backmapper


def _of_protein(options, model, more):
    from openmm_cgvae.evaluation.subject import of_longest
    from openmm_cgvae.preparation.crystalchains import chains_of_file

    if len(options.reference) != 1:
        raise SettingsError(
            f"{len(options.reference)} references given: of a model of any protein, one structure is expected"
        )
    chains = chains_of_file(options.reference[0], shortest=SHORTEST, complete=0.0)[0]
    if not chains:
        raise DataError(f"no protein chain of {SHORTEST} residues or more with its backbone in {options.reference[0]}")
    return of_longest(model, chains, options.title or options.model, _samples(options, 8), options.seed, **more)


def _of_model(options, model, more):
    from openmm_cgvae.evaluation.subject import of_model

    backmapper = model.bind()
    if options.reference:
        from openmm_cgvae.formats.structures import load_topology

        topology = backmapper.topology if options.top is None else load_topology(options.top)
        backmapper.mapping.check_topology(topology)
        reference, runs = _reference(options, topology)
    else:
        reference, runs = _bundled(options, more)
    title = options.title or str(model.metadata.get("name", options.model))
    return of_model(backmapper, reference, runs, title, n_samples=_samples(options, 4), seed=options.seed, **more)


def _bundled(options, more):
    """The MD that is bundled with a model, and its runs; their figures are known."""
    from openmm_cgvae.io.bundled import bundled_file, pretrained_names
    from openmm_cgvae.pretrained.bundle import reference_frames

    if options.model not in pretrained_names():
        raise SettingsError(f"--reference is missing: give MD to compare {options.model} with, or structures it made")
    import numpy as np

    reference, evaluated = reference_frames(options.model), bundled_file(options.model).with_suffix(".json")
    figures = _figures(evaluated)
    if "figures" not in more:
        more["figures"] = figures
        more["sources"].append(
            ("figures", f"{evaluated.name}, of {figures['frames']:,} frames, {figures['samples']} samples each")
        )
    return reference, np.arange(len(reference)) * figures["runs"] // len(reference)


def _reference(options, topology):
    if not options.reference:
        return None, None
    from openmm_cgvae.preparation.dataset import read_reference

    return read_reference(options.reference, topology, options.stride, options.run_frames, options.salvage)


def _samples(options, usual):
    return usual if options.samples is None else options.samples


def _topology(path):
    """The topology of structures, by the PDB file that backmap writes beside them."""
    from openmm_cgvae.io.trajectory_files import topology_beside

    beside = topology_beside(path)
    if beside is None:
        return path
    if not beside.is_file():
        raise SettingsError(f"--top is missing: give the all-atom topology (PDB) of {path}")
    return beside


def _log(folder):
    if folder is None:
        return None
    path = Path(folder)
    return path / "training.csv" if path.is_dir() else path


def _figures(path):
    try:
        figures = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"evaluation {path} cannot be read: the JSON file of evaluate is expected") from error
    if not isinstance(figures, dict) or "valid_ratio_all" not in figures:
        raise DataError(f"{path} is no evaluation of a model of one molecule: the JSON file of evaluate is expected")
    return figures


def _sources(options):
    if options.model:
        yield "model", options.model
    for name in ("structures", "reference"):
        if getattr(options, name):
            yield name, ", ".join(getattr(options, name))
    if options.evaluation:
        yield "figures", options.evaluation
    yield from command_source(options)
