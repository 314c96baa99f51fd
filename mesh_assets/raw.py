"""Raw files of operational systems: which are there, what is in them, how DuckDB reads them."""

import hashlib
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mesh_assets import rawcsv
from mesh_assets.contract import Contract
from mesh_assets.domain import Mesh, Source, Table
from mesh_assets.errors import RunError, nearest

READERS: Mapping[str, str] = {
    ".csv": "read_csv",
    ".tsv": "read_csv",
    ".parquet": "read_parquet",
    ".json": "read_json",
    ".jsonl": "read_json",
    ".ndjson": "read_json",
}
PACKED = (".gz", ".zst")

Hashes = dict[str, tuple[str, str]]


def folder_of(mesh: Mesh, table: Table) -> Path:
    """Where the files of a table are."""
    elsewhere = table.source.folder if table.source else None
    return elsewhere or mesh.domains[table.domain].path


def files(folder: Path, source: Source) -> tuple[Path, ...]:
    """The files that match the source's pattern now, in the order of their names; none outside `folder`."""
    return _matching(folder, source)[0]


def _matching(folder: Path, source: Source) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The files that match, and the links that match and lead out of `folder`; of files elsewhere, those are nobody's fault."""
    home = folder.resolve()
    found = sorted(path for path in folder.glob(source.pattern) if path.is_file())
    inside = tuple(path for path in found if path.resolve().is_relative_to(home))
    outside = () if source.folder or len(inside) == len(found) else tuple(path for path in found if path not in inside)
    return inside, outside


def pattern(source: Source) -> re.Pattern[str]:
    """What matches the paths, relative to the folder, of the source's files, also of those that are gone."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", source.pattern)
    return re.compile("".join(words.get(part) or _literal(part) for part in parts))


def _literal(part: str) -> str:
    return part.replace("[!", "[^", 1) if part.startswith("[") and part.endswith("]") else re.escape(part)


def content(folder: Path, source: Source, known: Mapping[str, tuple[str, str]]) -> tuple[str, Hashes]:
    """A hash of the names and contents of the source's files, and the hashes that had to be computed anew.

    A file whose size and time of change are as in `known` is not read again.

    Returns:
        An empty hash when no file is there.
    """
    fresh: Hashes = {}
    whole = hashlib.sha256()
    found, outside = _matching(folder, source)
    for path in outside:  # a change, so that the table is built, and says why it cannot be
        whole.update(f"{path.relative_to(folder)}\0outside\n".encode())
    for path in found:
        try:
            status = path.stat()
            stamp = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
            seen = known.get(str(path))
            if seen is None or seen[0] != stamp:
                fresh[str(path)] = seen = (stamp, _sha256(path))
        except OSError as error:  # it is that table's trouble, and is told when it is built
            seen = ("", f"unreadable: {error.errno}")
        whole.update(f"{path.relative_to(folder)}\0{seen[1]}\n".encode())
    return (whole.hexdigest()[:32] if found or outside else ""), fresh


def hashes(folder: Path, source: Source | None, known: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """SHA-256 of a source's files, by their path within the domain; nothing for other tables."""
    if source is None:
        return {}
    return {path.relative_to(folder).as_posix(): known.get(str(path), ("", ""))[1] for path in files(folder, source)}


def query(folder: Path, source: Source, contract: Contract | None) -> str:
    """SQL that reads every file of the source, columns united by name.

    With a contract, text formats are read as text: the stage casts to the contract's types and counts what it could not
    cast. Without one, DuckDB finds the types, over all rows.

    Raises:
        RunError: No file, an empty file, a link that leads elsewhere, or a format that nobody here reads.
    """
    found, outside = _matching(folder, source)
    if outside:
        what = f"{_spell(outside, folder)} leads out of the domain's folder through a link"
        raise RunError(f"{what}\n    Copy the file there. Nothing of the source was loaded.")
    if not found:
        mend = f"Put the export there, or correct `source:` at {source.where}."
        raise RunError(f"no file matches `{source.pattern}` in {folder.name}\n    {mend}")
    if empty := [path for path in found if path.stat().st_size == 0]:
        raise RunError(
            f"{_spell(empty, folder)} is empty, not even a header\n    Was the export cut off? Send it again."
        )
    for path in found:
        # DuckDB takes a packed file that is cut off for a shorter one.
        if path.suffix in PACKED and (told := rawcsv.packing(path)):
            raise RunError(f"{_spell([path], folder)}{told}\n    Send the file again.")
    reader = _reader(found, folder)
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in found)
    options = ["union_by_name = true"]
    if reader == "read_csv":
        # Nothing but the types is left to DuckDB's guess: where a line does not fit, it would guess another separator, or
        # that the table starts further down, and load the rest of the file without a word.
        options += [
            f"delim = '{rawcsv.separator(found, _root(folder))}'",
            "header = true",
            "skip = 0",
            "quote = '\"'",
            "escape = '\"'",
            "comment = ''",
        ]
        options.append("all_varchar = true" if contract else "sample_size = -1")
    return f"SELECT * FROM {reader}([{names}], {', '.join(options)})"


@contextmanager
def explained(folder: Path, source: Source) -> Generator[None]:
    """A file that cannot be read comes out as a `RunError` that names it, and the line where it can.

    Only what the files cause is translated; a full disk or a lake that is away stays what it is.
    """
    import duckdb

    try:
        yield
    except (
        duckdb.InvalidInputException,
        duckdb.ConversionException,
        duckdb.SerializationException,
        duckdb.IOException,
    ) as error:
        found = files(folder, source)
        finding = next((told for path in found if (told := _finding(path, folder))), "")
        if not finding and isinstance(error, duckdb.IOException):
            raise
        # DuckDB's own words, without its kind of error and the folders of this machine.
        said = str(error).replace(f"{_root(folder)}/", "").splitlines()[0]
        finding = finding or re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", said)
        mend = "Nothing of it was loaded. Was the export cut off? Mend the file, or send it again."
        raise RunError(f"{finding}\n    {mend}") from None


def _finding(path: Path, folder: Path) -> str:
    reader = READERS.get(next((end.lower() for end in reversed(path.suffixes) if end not in PACKED), ""))
    told = rawcsv.fault(path) if reader == "read_csv" else ""
    return f"{_spell([path], folder)}{told}" if told else ""


def _reader(found: Sequence[Path], folder: Path) -> str:
    readers = set()
    for path in found:
        suffixes = [suffix for suffix in path.suffixes if suffix not in PACKED]
        reader = READERS.get(suffixes[-1].lower() if suffixes else "")
        if reader is None:
            mend = nearest(path.suffix, READERS, otherwise=f"Formats that are read: {', '.join(READERS)}, also as .gz.")
            raise RunError(f"{_spell([path], folder)} is of a format that is not read here\n    {mend}")
        readers.add(reader)
    if len(readers) > 1:
        raise RunError(f"{_spell(found, folder)} are of several formats\n    Give each format a source of its own.")
    return readers.pop()


def _spell(paths: Sequence[Path], folder: Path) -> str:
    return ", ".join(str(path.relative_to(_root(folder))) for path in paths[:3])


def _root(folder: Path) -> Path:
    """The mesh's folder: paths are told from there; of files elsewhere, two folders up."""
    return folder.parents[min(1, len(folder.parents) - 1)] if folder.parents else folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
