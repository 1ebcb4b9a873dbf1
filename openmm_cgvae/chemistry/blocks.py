"""Text of files of molecules, and the records it falls into."""

import gzip
import re
import zlib

from openmm_cgvae.core.errors import MoleculeError

__all__ = ["file_text", "mol2_blocks", "pdb_blocks", "sdf_blocks", "smiles_lines", "smiles_parts"]

# CXSMILES: what stands between bars behind the SMILES.
EXTENSION = re.compile(r"\|[^|]*\|")


def file_text(path):
    """Return the text of a file, gzip unpacked, whose lines end with a line feed alone.

    It is UTF-8 with or without a byte order mark, UTF-16 with one, or else Latin-1.

    Raises
    ------
    MoleculeError
        If it is missing, or cannot be unpacked.
    """
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix.lower() == ".gz" else data
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise MoleculeError(
            f"molecules {path} cannot be unpacked ({error}): a complete gzip file is expected"
        ) from error
    except OSError as error:
        raise MoleculeError(f"molecules {path} cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def smiles_lines(text):
    """(number of the line, line) of a SMILES file, without comments and empty lines."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def smiles_parts(line):
    """(SMILES, extension of CXSMILES with its bars or "", name or "") of a line."""
    smiles, _, rest = line.strip().replace("\t", " ").partition(" ")
    extension = EXTENSION.match(rest.strip())
    extension = extension[0] if extension else ""
    return smiles, extension, rest.strip()[len(extension) :].strip()


def sdf_blocks(text):
    """(title, block) of the records between lines of $$$$; what follows the last is one too, unless it is empty."""
    lines = []
    # Not splitlines, which ends lines at a form feed in a title too.
    for line in [*text.split("\n"), "$$$$"]:
        if line.startswith("$$$$"):
            if any(part.strip() for part in lines):
                yield lines[0].strip(), "\n".join(lines) + "\n"
            lines = []
        else:
            lines.append(line)


def mol2_blocks(text):
    """(title, block) of the molecules of a MOL2 file."""
    for part in text.split("@<TRIPOS>MOLECULE")[1:]:
        yield part.strip().partition("\n")[0].strip(), "@<TRIPOS>MOLECULE" + part


def pdb_blocks(text, name):
    """(name, block) of the molecules of a PDB file, each up to its END; numbered if there are more."""
    blocks = re.split(r"^END *\n", text + "\n", flags=re.MULTILINE)
    blocks = [block + "END\n" for block in blocks if re.search("^(ATOM  |HETATM)", block, re.MULTILINE)] or [text]
    return [(f"{name}-{k}" if len(blocks) > 1 else name, block) for k, block in enumerate(blocks, 1)]
