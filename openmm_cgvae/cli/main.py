"""Parse the command line and turn errors into one line and an exit code."""

import logging
import math
import os
import shlex
import sys
from functools import cache
from importlib import import_module

from openmm_cgvae import __version__
from openmm_cgvae.cli.examples import EXAMPLES
from openmm_cgvae.cli.parsing import Parser, add_debug, add_messages
from openmm_cgvae.cli.paths import check_files, no_empty_folders
from openmm_cgvae.cli.summary import check_json, tell
from openmm_cgvae.core.errors import CGVAEError, SettingsError
from openmm_cgvae.core.progress import progress_bars
from openmm_cgvae.core.signals import Terminated, raised_sigterm
from openmm_cgvae.core.translation import said_by_library

__all__ = ["main"]

# A module each; "continue" is a word of Python.
MODULES = {name: "continue_run" if name == "continue" else name.replace("-", "_") for name in EXAMPLES}
COMMANDS = {name: import_module(f"openmm_cgvae.cli.{module}") for name, module in MODULES.items()}


@cache
def parser():
    """The parser of all subcommands, made once; a module of `COMMANDS` gives its arguments and its ``run``."""
    top = Parser(
        "openmm-cgvae demo\nopenmm-cgvae backmap --help",
        prog="openmm-cgvae", description="Put the atoms back into coarse-grained molecular dynamics.",
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"openmm-cgvae {__version__}")
    add_debug(top)
    commands = top.add_subparsers(dest="command", required=True, metavar="SUBCOMMAND", prog=top.prog)
    for name, module in COMMANDS.items():
        summary = module.__doc__.split("\n")[0]
        command = commands.add_parser(name, examples=EXAMPLES[name], help=summary, description=module.__doc__)
        module.add_arguments(command)
        add_messages(command)
        command.set_defaults(run=lambda options, module=module: module.run(options))
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
    options = parsed(arguments)
    options.command_line = shlex.join(["openmm-cgvae", *(sys.argv[1:] if arguments is None else arguments)])
    _start_logging(options)
    try:
        check_numbers(options)
        check_json(options)
        check_files(options.command, options)
        with raised_sigterm(), progress_bars(not options.quiet), no_empty_folders(options):
            return tell(options.run(options), options)
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


def parsed(arguments=None):
    """Options of a command line; or, of a shell that completes one, its proposals."""
    top = parser()
    if "_ARGCOMPLETE" in os.environ:
        from openmm_cgvae.cli.completion import complete

        complete(top)
    return top.parse_args(arguments)


def _start_logging(options):
    """Send what is logged to stderr; of other packages warnings alone, whatever levels they set themselves."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: record.name.startswith("openmm_cgvae") or record.levelno >= logging.WARNING)
    logging.basicConfig(level=logging.WARNING, format="openmm-cgvae: %(levelname)s: %(message)s", handlers=[handler])
    logging.getLogger("openmm_cgvae").setLevel(_level(options))


def _level(options):
    if options.debug:
        return logging.DEBUG
    return logging.INFO if options.verbose else logging.ERROR if options.quiet else logging.WARNING


if __name__ == "__main__":
    sys.exit(main())
