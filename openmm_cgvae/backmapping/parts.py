"""Frames written in parts that are kept in a journal, so that a run that is interrupted goes on where it was."""

import logging

from openmm_cgvae.core.errors import DataError
from openmm_cgvae.core.pipeline import run_pipeline

__all__ = ["write_parts"]

logger = logging.getLogger(__name__)


def write_parts(journal, items, compute, write, done, partial=False):
    """Write all parts in order: those that the journal has from there, the others as they are made.

    Parameters
    ----------
    journal : Journal
        In use.
    items : iterable
        Of which each makes a part.
    compute : callable
        Takes an item; returns the arrays (dict) and the record (JSON types) of its part.
    write : callable
        Takes arrays and record, in order.
    done : callable
        Takes the item whose part waits to be written; for a progress bar.
    partial : bool
        Write the parts that there are, and make no others.
    """
    n_done = journal.n_done

    def part(numbered):
        number, item = numbered
        return number if number < n_done else compute(item)

    def keep(made):
        if isinstance(made, int):
            made = journal.part(made)
        else:
            journal.keep(*made)
        write(*made)

    if partial:
        if not n_done:
            raise DataError(f"no part of {journal.output} is there: run it, or go on with it by resume (--resume)")
        for number in range(n_done):
            keep(number)
        return
    run_pipeline(enumerate(items), part, keep, lambda numbered: done(numbered[1]))
