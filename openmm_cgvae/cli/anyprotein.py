"""Arguments that say what beads of any protein, or of any small molecule, stand for, and how they are sampled."""

from openmm_cgvae.core.errors import SettingsError

__all__ = ["add_protein", "bound", "given_options", "refuse"]

# Arguments, and what `openmm_cgvae.backmapping.protein.AnyProtein.bind` calls them.
NAMES = {
    "representative": "representative", "noise_temperature": "temperature", "consistency": "consistency",
    "histidine": "histidine", "protonation": "protonation", "disulfides": "disulfides", "termini": "termini",
    "caps": "caps", "unknown": "unknown", "breaks": "breaks",
}  # fmt: skip


def add_protein(parser, temperature="--temperature"):
    """Options of a model of any protein."""
    group = parser.add_argument_group("with a model of any protein")
    group.add_argument(
        "--representative", action="store_true", default=None, help="the likeliest structure of a frame, not samples"
    )
    group.add_argument(
        temperature, dest="noise_temperature", type=float, metavar="T",
        help="of torsions: 1 samples, less is likely (1)",
    )  # fmt: skip
    group.add_argument(
        "--consistency", metavar="KIND",
        help="exact: beads stay where they are; sound: they move as little as sound bonds ask (the model's if omitted)",
    )  # fmt: skip
    group.add_argument("--histidine", metavar="STATE", help="HID, HIE or HIP where names do not tell (HIE)")
    group.add_argument("--protonation", metavar="A:57=HIP,...", help="states of single residues")
    group.add_argument("--disulfides", metavar="A:3-A:40,...", help="pairs of residues, none or auto (auto)")
    group.add_argument("--termini", metavar="KIND", help="charged, neutral or capped, or two of start,end (charged)")
    group.add_argument("--caps", metavar="KIND", help="residues, or merged with what they cap, for charmm36 (residues)")
    group.add_argument("--unknown", metavar="WHAT", help="error, drop or keep residues that are no amino acids (error)")
    group.add_argument("--breaks", metavar="A:57,...", help="residues that begin a new part, none or auto (auto)")
    group = parser.add_argument_group("with a model of any small molecule")
    group.add_argument(
        "--molecule", metavar="SMILES_OR_FILE", help="what the beads stand for, its rigid fragments (.sdf, .mol2, ...)"
    )


def given_options(options):
    """The arguments that were given, as `bind` takes them."""
    given = {name: getattr(options, name, None) for name in NAMES}
    given = {name: value for name, value in given.items() if value is not None}
    from openmm_cgvae.binding.words import READERS

    return {NAMES[name]: READERS[name](value) if name in READERS else value for name, value in given.items()}


def refuse(given, why):
    """Refuse arguments of another kind of model, if any are given (`SettingsError`)."""
    if given:
        raise SettingsError(f"{', '.join('--' + name.replace('_', '-') for name in given)} given, {why}; leave it out")


def bound(model, options):
    """The sampler of one `Model`, for the topology of beads of ``--top``, or of the trajectory if it has one."""
    given = given_options(options)
    molecule = getattr(options, "molecule", None)
    if model.file.kind == "ligand":
        return _bound_ligand(model, options, molecule, given)
    if molecule is not None:
        raise SettingsError(f"--molecule given, of models of any small molecule: the model is of {model.serves}")
    if not model.of_any_molecule:
        refuse(given, f"of models of any protein: the model is of {model.serves}")
        from openmm_cgvae.formats.structures import load_topology

        return model.bind(options.top and load_topology(options.top))
    from openmm_cgvae.core.plainfiles import file_format, plain_file
    from openmm_cgvae.formats.structures import STRUCTURES

    if getattr(options, "rename", None):
        raise SettingsError("--rename given with a model of any protein, which knows amino acids by name: leave it out")
    first = options.trajectory if isinstance(options.trajectory, str) else options.trajectory[0]
    topology = options.top or (first if file_format(first) in STRUCTURES else None)
    if topology is None:
        raise SettingsError(
            "--top is missing: a model of any protein asks for the topology of the beads, one of "
            f"{', '.join(STRUCTURES)}, .psf or .prmtop"
        )
    # The file itself, whose positions tell breaks and disulfides.
    with plain_file(topology) as plain:
        return model.bind(plain, **given)


def _bound_ligand(model, options, molecule, given):
    """The sampler of a model of any small molecule."""
    from openmm_cgvae.formats.structures import load_topology

    foreign = set(given) - {"representative", "temperature"}
    refuse(sorted(foreign), f"of proteins: the model is of {model.serves}")
    return model.bind(options.top and load_topology(options.top), molecule=molecule, **given)
