"""Steps of commands that write a report."""

__all__ = ["command_source", "write_and_tell"]


def command_source(options):
    """The command line as a source of a page, none where it is not known."""
    return [("command", options.command_line)] if hasattr(options, "command_line") else []


def write_and_tell(path, subject):
    """Write the report of a `Subject`, and say where it is."""
    from openmm_cgvae.report.build import write_report

    written = write_report(path, subject, overwrite=True)
    print(f"report: {written} ({written.stat().st_size / 1e6:.1f} MB)")
