"""Parse the command line and turn errors into one line and an exit code."""

import argparse
import logging
import math
import os
import shlex
import sys

from openmm_cgvae import __version__
from openmm_cgvae.cli import (
    backmap,
    benchmark,
    cg_forcefield,
    conformers,
    continue_run,
    demo,
    evaluate,
    evaluate_conformers,
    export,
    info,
    learn_forcefield,
    map,
    peptide,
    prepare,
    project,
    report,
    sample_conformers,
    sample_reference,
    simulate,
    train,
)
from openmm_cgvae.cli.paths import check_files
from openmm_cgvae.core.errors import CGVAEError, SettingsError
from openmm_cgvae.core.signals import Terminated, raised_sigterm
from openmm_cgvae.core.translation import said_by_library

__all__ = ["main"]

COMMANDS = {
    "demo": demo,
    "project": project,
    "backmap": backmap,
    "simulate": simulate,
    "continue": continue_run,
    "conformers": conformers,
    "info": info,
    "evaluate": evaluate,
    "evaluate-conformers": evaluate_conformers,
    "report": report,
    "benchmark": benchmark,
    "peptide": peptide,
    "sample-reference": sample_reference,
    "sample-conformers": sample_conformers,
    "map": map,
    "prepare": prepare,
    "cg-forcefield": cg_forcefield,
    "learn-forcefield": learn_forcefield,
    "train": train,
    "export": export,
}


def parser():
    """The parser of all subcommands; a module of `COMMANDS` gives its arguments and its ``run``."""
    top = argparse.ArgumentParser(
        prog="openmm-cgvae", description="Put the atoms back into coarse-grained molecular dynamics."
    )
    top.add_argument("--version", action="version", version=f"openmm-cgvae {__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error, and all log messages")
    commands = top.add_subparsers(dest="command", required=True, metavar="SUBCOMMAND")
    for name, module in COMMANDS.items():
        summary = module.__doc__.split("\n")[0]
        command = commands.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top


def check_numbers(options):
    """Refuse numbers that are none, or without end, in any argument (`SettingsError`)."""
    for name, given in vars(options).items():
        for value in given if isinstance(given, list) else [given]:
            # No limit of time is the default.
            endless = name == "minutes" and value == math.inf
            if isinstance(value, float) and not math.isfinite(value) and not endless:
                raise SettingsError(f"--{name.replace('_', '-')} {value} given: a finite number is expected")


def main(arguments=None):
    """Run the command line.

    Returns
    -------
    int
        0; 1 if some of many inputs were left out, as told, or the reader of the output has gone; 2 for an error of use
        or input, which is explained in one line; 130 if interrupted by Ctrl-C, 143 by SIGTERM.
    """
    options = parser().parse_args(arguments)
    options.command_line = shlex.join(["openmm-cgvae", *(sys.argv[1:] if arguments is None else arguments)])
    level = logging.DEBUG if options.debug else logging.WARNING
    logging.basicConfig(level=logging.WARNING, format="openmm-cgvae: %(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("openmm_cgvae").setLevel(level)
    try:
        check_numbers(options)
        check_files(options.command, options)
        with raised_sigterm():
            return options.run(options) or 0
    except BrokenPipeError:
        # The reader of our output has gone (``| head``); Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (CGVAEError, OSError) as error:
        # An OSError that is not ours: a folder without permission, a full disk.
        if options.debug:
            raise
        print(f"openmm-cgvae: error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        # Of another package, on input that was not foreseen; those of our own code are faults, and shown as such.
        said = said_by_library(error)
        if options.debug or said is None:
            raise
        print(
            f"openmm-cgvae: error: {said}; check the files and settings given (--debug shows where it was)",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt as interrupt:
        print("openmm-cgvae: interrupted", file=sys.stderr)
        return 143 if isinstance(interrupt, Terminated) else 130


if __name__ == "__main__":
    sys.exit(main())
