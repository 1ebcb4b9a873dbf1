"""``python -m openmm_cgvae`` is ``openmm-cgvae``."""

import sys

from openmm_cgvae.cli.main import main

sys.exit(main())
