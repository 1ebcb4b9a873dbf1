"""Completion in a shell: commands, options, their choices, files, and names of bundled models."""

import argcomplete

from openmm_cgvae.io.bundled import read_index

__all__ = ["complete"]

# Arguments that take the name of a bundled model, or a file.
MODELS = ("model", "start", "generators")


def complete(parser):
    """Answer a shell that asks what may follow, and end the process."""
    files = argcomplete.FilesCompleter()
    for command in parser.commands.values():
        for action in command._actions:
            if action.dest in MODELS:
                action.completer = lambda prefix, **_: [
                    *filter(lambda n: n.startswith(prefix), read_index()),
                    *files(prefix),
                ]
    argcomplete.autocomplete(parser)
