"""What a CSV file is made of, and the first thing that is wrong with one: in words, with the line."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from mesh_assets.errors import RunError
from mesh_assets.numerals import many

SEPARATORS = (",", ";", "\t", "|")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
LONGEST = 1 << 20
"""Characters of a header line."""


def separator(files: Sequence[Path], root: Path) -> str:
    """What separates the columns: the sign that the header has most of; a comma when it has one column only.

    Raises:
        RunError: The files do not agree, or a header cannot be read.
    """
    found: dict[str, Path] = {}
    for path in files:
        try:
            sign = _separator(path)
        except (OSError, EOFError, UnicodeDecodeError, zlib.error):
            raise RunError(f"{path.relative_to(root)}{fault(path)}\n    Mend the file, or send it again.") from None
        if sign:
            found.setdefault(sign, path)
    if len(found) > 1:
        (sign, one), (other, another) = list(found.items())[:2]
        mend = "Give each kind a source of its own, or export them alike."
        said = f"{one.relative_to(root)} is separated by `{_named(sign)}`, {another.relative_to(root)} by `{_named(other)}`"
        raise RunError(f"{said}\n    {mend}")
    return next(iter(found), ",")


def fault(path: Path) -> str:
    """The first thing that is wrong with a file, to be read after its name; empty when nothing is found."""
    try:
        with _opened(path) as file:
            return _fault(file, path)
    except UnicodeDecodeError:
        return " is not UTF-8: export it with that encoding"
    except (EOFError, OSError, zlib.error) as error:
        return f" cannot be read: {getattr(error, 'strerror', None) or 'it is cut off'}"


def _separator(path: Path) -> str:
    with _opened(path) as file:
        header = _QUOTED.sub("", file.readline(LONGEST))
    counts = {sign: header.count(sign) for sign in SEPARATORS if sign in header}
    return max(counts, key=counts.__getitem__, default="")


def packing(path: Path) -> str:
    """As `fault`, of a packed file's packing alone; all of it is read."""
    try:
        with _unpacked(path) as file:
            while file.read(LONGEST):
                pass
    except EOFError:
        return " is cut off: its packing has no end"
    except (OSError, zlib.error):
        return " cannot be unpacked: it is cut off, or not packed as its name says"
    return ""


def _fault(file: TextIO, path: Path) -> str:
    rows = csv.reader(file, delimiter=_separator(path) or ",", strict=True)
    start = 1
    try:
        header = next(rows)
        for row in rows:
            if row and len(row) != len(header):
                return f":{start + 1}: this line has {_fields(len(row))}, the header {_fields(len(header))}"
            start = rows.line_num
    except StopIteration:
        return " is empty"
    except csv.Error:
        return f":{start + 1}: a quote is opened and never closed"
    return _ends(path)


def _ends(path: Path) -> str:
    """Lines that end in two ways are refused by DuckDB, for it reads one file in several places at once."""
    with _opened(path) as file:
        text = file.read(LONGEST)
    windows = text.count("\r\n")
    return (
        " has some lines with Windows ends and some with Unix ends" if windows and text.count("\n") != windows else ""
    )


def _opened(path: Path) -> TextIO:
    return io.TextIOWrapper(_unpacked(path), encoding="utf-8-sig", newline="")


def _unpacked(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    if path.suffix == ".zst":
        import pyarrow as pa

        return pa.input_stream(str(path), compression="zstd")
    return path.open("rb")


def _fields(count: int) -> str:
    return many(count, "field")


def _named(sign: str) -> str:
    return "tab" if sign == "\t" else sign
