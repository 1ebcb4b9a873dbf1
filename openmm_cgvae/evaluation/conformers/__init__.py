"""Generated conformers of small molecules against reference ensembles and crystals: accuracy, validity, energies."""
