"""What residue names mean: amino acids as force fields call them, caps, and what is no protein."""

from functools import cache

from openmm_cgvae.chemistry.aminoacids.residues import AMINO_ACIDS, RESIDUE_NAMES, VARIANT_TYPES

__all__ = ["CAP_NAMES", "D_NAMES", "kind_of", "variant_of"]

# Names of amber, charmm, gromacs and gromos for protonation states; selenomethionine is read as methionine.
_ALIASES = {
    "ASPP": "ASH", "ASPH": "ASH", "ASP0": "ASH", "GLUP": "GLH", "GLUH": "GLH", "GLU0": "GLH",
    "HSD": "HID", "HISD": "HID", "HISA": "HID", "HSE": "HIE", "HISE": "HIE", "HISB": "HIE",
    "HSP": "HIP", "HISH": "HIP", "HISP": "HIP", "LSN": "LYN", "LYSN": "LYN", "LYSH": "LYS",
    "CYSH": "CYS", "CYS2": "CYX", "CYSS": "CYX", "CYSM": "CYM", "MSE": "MET",
}  # fmt: skip
CAP_NAMES = {"ACE": "ACE", "NME": "NME", "NMA": "NME", "NH2": "NH2", "NHE": "NH2"}
# Names of the components dictionary of the PDB for the mirror images, to the residue each mirrors.
D_NAMES = {
    "DAL": "ALA", "DAR": "ARG", "DSG": "ASN", "DAS": "ASP", "DCY": "CYS", "DGN": "GLN", "DGL": "GLU", "DHI": "HIS",
    "DIL": "ILE", "DLE": "LEU", "DLY": "LYS", "MED": "MET", "DPN": "PHE", "DPR": "PRO", "DSN": "SER", "DTH": "THR",
    "DTR": "TRP", "DTY": "TYR", "DVA": "VAL",
}  # fmt: skip
_WATER = {"HOH", "WAT", "SOL", "TIP3", "TIP", "TP3", "TIP4", "T4P", "SPC", "H2O", "W", "WF", "WN", "WM", "WP", "PW",
          "SW", "TW", "BMW"}  # fmt: skip
_IONS = {"NA", "NA+", "SOD", "CL", "CL-", "CLA", "K", "K+", "POT", "CA", "CA+", "CA2+", "CAL", "MG", "MG2+", "MG2",
         "ZN", "ZN2", "LI", "RB", "CS", "CES", "ION", "IB+", "BR", "TMA", "F"}  # fmt: skip
_NUCLEIC = {"A", "C", "G", "U", "T", "I", "DA", "DC", "DG", "DT", "DI", "ADE", "CYT", "GUA", "URA", "THY", "RA", "RC",
            "RG", "RU", "N"}  # fmt: skip
_LIPIDS = ("PC", "PE", "PS", "PG", "PA", "PI", "SM")
_STEROLS = {"CHOL", "CHL1", "CLR", "ERG", "PAP6", "PIP2", "POP2", "DPCE", "CDL", "CDL2", "CDL1"}
# Martini names a lipid by two letters of its tails: DPPC, POPE, DLPG.
_TAILS = ("DP", "PO", "DO", "DL", "DM", "DS", "DA", "PL", "SA", "SL", "SO", "DY", "PA", "OP", "PI")


@cache
def variant_of(name, one_letter=False):
    """Return the variant (a key of `VARIANT_TYPES`) that a residue name means, "HIS" if undecided, None if none.

    Parameters
    ----------
    name : str
        In any force field's way; a terminal residue may have amber's N or C in front.
    one_letter : bool
        Whether one-letter codes are amino acids, not nucleotides.
    """
    name = name.strip().upper()
    if one_letter and len(name) == 1 and name in AMINO_ACIDS:
        name = RESIDUE_NAMES[AMINO_ACIDS.index(name)]
    name = _ALIASES.get(name, name)
    if name in VARIANT_TYPES or name == "HIS":
        return name
    if len(name) == 4 and name[0] in "NC":
        return variant_of(name[1:])
    return None


@cache
def kind_of(name, one_letter=False):
    """Return what a residue name stands for.

    Returns
    -------
    str
        "amino acid", "cap", "water", "ion", or what an error says of it: "nucleic acid", "lipid",
        "D-amino acid", or "ligand or modified residue".
    """
    name = name.strip().upper()
    if variant_of(name, one_letter):
        return "amino acid"
    if name in CAP_NAMES:
        return "cap"
    for kind, names in (("water", _WATER), ("ion", _IONS), ("nucleic acid", _NUCLEIC), ("D-amino acid", D_NAMES)):
        if name in names:
            return kind
    if name in _STEROLS or (len(name) == 4 and name.startswith(_TAILS) and name.endswith(_LIPIDS)):
        return "lipid"
    return "ligand or modified residue"
