"""The command line: ``openmm-cgvae SUBCOMMAND``, one thin module a subcommand."""
