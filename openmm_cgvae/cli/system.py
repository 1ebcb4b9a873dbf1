"""Arguments of commands that backmap a molecule, or a system of many."""

from pathlib import Path

from openmm_cgvae.cli.anyprotein import bound, given_options, refuse
from openmm_cgvae.cli.common import add_rename, add_topology, add_trust
from openmm_cgvae.core.errors import SettingsError

__all__ = ["add_system", "load_backmapper"]


def add_system(parser):
    """What says which models and molecules there are."""
    parser.add_argument(
        "--model", required=True, action="append", metavar="NAME_OR_FILE",
        help="a bundled model or a model file; once for every kind of molecule of --top",
    )  # fmt: skip
    add_trust(parser)
    add_topology(parser, "CG particles", required=False)
    parser.add_argument(
        "--molecules",
        metavar="NAME:n,...",
        help="with --top: how many of each, in order, by the model's name or that of its file without .pt, or by the "
        "residue name of what is kept or dropped; by the names of residues and beads if omitted",
    )
    add_rename(parser)
    parser.add_argument("--keep", metavar="CL,NA", help="with --top: residues that no model covers, kept as atoms")
    parser.add_argument("--drop", metavar="W", help="with --top: residues that no model covers, left out")


def load_backmapper(options):
    """The sampler of the one model, or the `SystemBackmapper` of a topology of many molecules."""
    from openmm_cgvae.backmapping.model import Model

    names = [Path(model).stem for model in options.model]
    if len(set(names)) < len(names) and options.top is not None:
        raise SettingsError(f"models {', '.join(options.model)} given: files of different names are expected")
    models = [Model.load(model, trust=options.trust) for model in options.model]
    of_system = len(models) > 1 or options.molecules or options.keep or options.drop
    if of_system and any(model.of_any_molecule for model in models):
        raise SettingsError(
            "a model of any protein given with others, or with --molecules, --keep or --drop: it takes all chains of "
            "--top alone, and --unknown says what becomes of residues that are no amino acids"
        )
    if models[0].of_any_molecule or (options.top is None and not of_system):
        return bound(models[0], options)
    refuse(given_options(options), f"of models of any protein: {', '.join(names)} is none")
    if options.top is None:
        raise SettingsError("several models, --molecules, --keep or --drop given without --top: add the CG topology")
    from openmm_cgvae.binding.renaming import ORDER, parse_renaming, renamed
    from openmm_cgvae.formats.structures import load_box, load_topology
    from openmm_cgvae.simulation.system import SystemBackmapper

    loaded, rules = load_topology(options.top, own_names=True), parse_renaming(options.rename)
    if rules == ORDER and options.molecules is None:
        raise SettingsError(f"--rename {ORDER} given with --top: give --molecules, whose order it is")
    if rules and rules != ORDER:
        loaded = renamed(loaded, rules)
    topology, box = loaded.to_openmm(), load_box(options.top)
    if box is not None:
        topology.setPeriodicBoxVectors(box)
    backmappers = {name: model.bind() for name, model in zip(names, models, strict=True)}
    return SystemBackmapper(
        topology, backmappers, _numbers(options.molecules), *map(_listed, (options.keep, options.drop))
    )


def _listed(text):
    return [name.strip() for name in text.split(",")] if text else []


def _numbers(text):
    """``ALA:125,CL:3`` as pairs, None of None."""
    if text is None:
        return None
    try:
        return [(name, int(number)) for name, number in (part.rsplit(":", 1) for part in _listed(text))]
    except ValueError as error:
        raise SettingsError(f"--molecules {text} given: NAME:number,NAME:number is expected") from error
