"""Steps of commands that write a report."""

__all__ = ["command_source", "write_page"]


def command_source(options):
    """The command line as a source of a page, none where it is not known."""
    return [("command", options.command_line)] if hasattr(options, "command_line") else []


def write_page(path, subject, temporary=None):
    """Write the report of a `Subject`, under a temporary name if there is one; return the row that says where it is."""
    from openmm_cgvae.report.build import write_report

    written = write_report(temporary or path, subject, overwrite=True)
    return "report", f"{path} ({written.stat().st_size / 1e6:.1f} MB)"
