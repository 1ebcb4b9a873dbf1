"""File formats, one a module: DCD, XTC, NetCDF, HDF5, PDB, mmCIF and GRO, and where frames are appended."""
