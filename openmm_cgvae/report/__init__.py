"""Plots of what was trained and what it makes."""

from openmm_cgvae.report.plots import plot_ramachandran, plot_training

__all__ = ["plot_ramachandran", "plot_training"]
