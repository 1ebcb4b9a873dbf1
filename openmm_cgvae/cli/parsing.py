"""The parser of every command: options in groups, examples below them, and mistakes answered in one line."""

import argparse
import sys
from difflib import get_close_matches

__all__ = ["GROUPS", "Parser", "add_messages"]

# In this order in every ``--help``; what is not listed belongs to the command's own group, or to a test that says so.
GROUPS = {
    "input": "model trust top mapping weights rename salvage stride frames times frame-interval run-frames molecules "
    "termini keep drop potential forcefield reference evaluation training held-out leave-out split splits only crystal "
    "only-crystals most-molecules data start atom-types hops",
    "output": "output cg-output overwrite report title json name ensemble rank-by wrap pack no-report measure",
    "choice of beads": "method beads",
    "sampling": "samples seed correlation-time on-bad-frame n optimize prune stereo charge allow-unknown "
    "representative generators seeds test-seeds window most approximate",
    "minimisation": "minimize no-minimize prmtop implicit-solvent iterations energies gfn2",
    "simulation": "steps report-interval frame runs interval burst temperature hot-temperature friction time-step "
    "equilibration hydrogen-mass solvent-every platform copies box solvate water-model ionic-strength replicas",
    "training": "preset epochs minutes set baseline device compile features layers rate models folds test-frames",
    "run": "resume partial checkpoint scheduler workers",
    "messages": "help quiet verbose json debug",
}


class Formatter(argparse.HelpFormatter):
    """Shows what is required in the usage, fills paragraphs, and leaves commands as they are."""

    def _format_usage(self, usage, actions, groups, prefix):
        needed = [action for action in actions if action.required or not action.option_strings]
        return super()._format_usage(usage, needed, [], prefix).rstrip() + " [options]\n\n"

    def _fill_text(self, text, width, indent):
        lines = text.splitlines()
        if lines[0].startswith("example"):
            return "\n".join(indent + line for line in lines)
        fill = super()._fill_text
        return "\n\n".join(fill(part, width, indent) for part in text.split("\n\n"))


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that puts every option into its group, by `GROUPS`.

    Parameters
    ----------
    examples : str
        Commands, a line each, shown below the options.
    **settings
        Of ``argparse.ArgumentParser``.
    """

    def __init__(self, examples="", **settings):
        self._own = {}
        lines = [f"  {line}" for line in examples.splitlines()]
        title = "examples:" if len(lines) > 1 else "example:"
        super().__init__(
            formatter_class=Formatter, epilog="\n".join([title, *lines]) if lines else None, **settings
        )  # fmt: skip

    def group(self, title):
        """The group of a title, made if there is none."""
        if not self._own:
            self._own = {name: self.add_argument_group(name) for name in GROUPS}
        return self._own[title]

    def add_argument(self, *names, **settings):
        """Add an option to its group, or an argument without dashes to the input."""
        name = next((name for name in names if name.startswith("--")), names[0]).lstrip("-")
        dashed = names[0].startswith("-")
        title = next((title for title, own in GROUPS.items() if name in own.split()), None) if dashed else "input"
        return (super() if title is None else self.group(title)).add_argument(*names, **settings)

    def parse_args(self, args=None, namespace=None):
        """Parse, and name the nearest option of one that is none."""
        options, left = self.parse_known_args(args, namespace)
        if left:
            command = self.commands[options.command]
            command.error(f"{left[0]} is no argument of {options.command}{command.nearest(left[0])}")
        return options

    def parse_known_args(self, args=None, namespace=None):
        """As argparse, but ``--json`` takes the next word only if that is the name of a JSON file."""
        words = list(sys.argv[1:] if args is None else args)
        for k, word in enumerate(words):
            if word == "--json" and not "".join(words[k + 1 : k + 2]).endswith(".json"):
                words[k] = "--json=-"
        return super().parse_known_args(words, namespace)

    @property
    def commands(self):
        """Name to parser of the subcommands."""
        return self._subparsers._group_actions[0].choices if self._subparsers else {}

    def nearest(self, word):
        """Name the option, or subcommand, that a word is nearest to."""
        known = [
            *self._option_string_actions,
            *(self._subparsers._group_actions[0].choices if self._subparsers else ()),
        ]
        near = get_close_matches(word.split("=")[0], known, n=1)
        return f", did you mean {near[0]}?" if near else ""

    def error(self, message):
        """End with one line that says what to do, and code 2."""
        if "invalid choice" in message and message.startswith("argument SUBCOMMAND"):
            word = message.split("'")[1]
            message = f"{word} is no command{self.nearest(word)}"
        self.exit(2, f"openmm-cgvae: error: {message} (see {self.prog} --help)\n")


def add_messages(parser):
    """What every command takes: how much it says, and in which form."""
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="out.json",
        help="print what was done as JSON instead of a table, or write it to a file",
    )  # fmt: skip
    much = parser.group("messages").add_mutually_exclusive_group()
    much.add_argument("--quiet", action="store_true", help="no table, progress or warnings: errors alone")
    much.add_argument("--verbose", action="store_true", help="log what is being done")
    add_debug(parser, default=argparse.SUPPRESS)


def add_debug(parser, **settings):
    """``--debug``, which is taken before and after the command."""
    parser.add_argument(
        "--debug", action="store_true", help="show the traceback of an error, and all log messages", **settings
    )
