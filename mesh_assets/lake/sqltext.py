"""Names and values, spelled as SQL."""

from collections.abc import Iterable


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A value as an SQL string."""
    return "'" + value.replace("'", "''") + "'"


def dotted(table: str) -> str:
    """`domain.table` as a qualified SQL name."""
    domain, _, name = table.partition(".")
    return f"{quoted(domain)}.{quoted(name)}"


def in_lake(table: str) -> str:
    """`domain.table` as it is named in the attached lake."""
    return f"mesh.{dotted(table)}"


def parquet(files: tuple[str, ...], *, union_by_name: bool = False) -> str:
    """Parquet files as one SQL relation: with the columns of the first, or those that any of them has."""
    return f"read_parquet([{', '.join(map(text, files))}]{', union_by_name => true' if union_by_name else ''})"


def as_parquet(types: Iterable[str]) -> str:
    """How a file of the lake with columns of these types is written, as options of COPY.

    The second version keeps whole numbers, decimals, times and texts as differences and lengths. DuckDB 1.5.5 cannot write
    some lists and maps of texts so: "not enough space in buffer to fulfill write request".
    """
    nested = any("[" in one or "MAP(" in one for one in types)
    return "FORMAT parquet" if nested else "FORMAT parquet, PARQUET_VERSION v2"
