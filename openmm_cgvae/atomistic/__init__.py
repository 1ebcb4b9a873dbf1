"""All-atom force fields and the minimisation and solvation of backmapped structures."""
