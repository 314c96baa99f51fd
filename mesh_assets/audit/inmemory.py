"""Very many whole numbers, of which none may come twice: a byte for each of a dense range, else all of them, sorted.

DuckDB hands the values over in batches and numpy compares them. Few values, and others, DuckDB compares cheaply enough,
and numpy is not imported for them.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from mesh_assets.audit.values import ColumnType, Family, quoted

if TYPE_CHECKING:
    import numpy as np

MANY = 1_000_000
"""Rows from which it pays to import numpy and pyarrow, which takes about as long as DuckDB for 800,000."""
LOADED = 100_000
"""Rows from which it pays where they are imported."""
SPARSE = 1_000_000
"""Bytes that a range may take beside twenty for each row."""
BATCH = 1_000_000
SLICE = 2**28
"""Numbers of a range that are looked at in one pass: 256 MB."""
DENSE = 8 * SLICE
SORTED = 2**26
"""About as many numbers are sorted in one pass: 512 MB."""
BLOCK = 4096
CROWDED = 200
"""Blocks, or values, that are looked at alone when they hold equal keys; were there more, all keys are compared."""
_WRAP = 2**64


class _NotAsToldError(Exception):
    """There are more numbers than was said, or others."""


def alone(
    con: duckdb.DuckDBPyConnection, keys: str, column: str, type_: ColumnType, found: tuple[int, int], rows: int
) -> tuple[str, str]:
    """How it is proved that no two numbers are equal (empty: it is not), and a condition that all equal ones fulfil, if any.

    Args:
        con: Outside a transaction.
        keys: A relation with the column.
        column: Its name.
        type_: Its type.
        found: Least and greatest value, as far as is known.
        rows: About how many there are.
    """
    pays = LOADED if "pyarrow" in sys.modules else MANY
    if type_.family is not Family.INTEGER or type_.high >= _WRAP or rows < pays:
        return "", ""
    numbers = _Numbers(con, keys, quoted(column), signed=type_.low < 0)
    try:
        if found[1] - found[0] < min(DENSE, 20 * rows + SPARSE):
            how, repeated = "a bitmap holds each value once", _crowded(numbers, *found)
        else:
            how, repeated = "sorted, no value is the next one too", _neighbours(numbers, rows)
    except (_NotAsToldError, MemoryError):
        return "", ""
    if len(repeated) > CROWDED:
        return "", ""
    repeated += [f"{numbers.name} IS NULL"] if numbers.missing > 1 else []
    return ("", " OR ".join(repeated)) if repeated else (how, "")


@dataclass(slots=True)
class _Numbers:
    """A column of a relation.

    Attributes:
        missing: Rows without a value that were read so far.
    """

    con: duckdb.DuckDBPyConnection
    keys: str
    name: str
    signed: bool
    missing: int = 0

    def batches(self, where: str) -> "Iterator[np.ndarray]":
        """The values of some rows as numbers of 64 bits; those below nought wrap around."""
        import numpy as np

        reader = self.con.execute(f"SELECT {self.name} FROM {self.keys} WHERE {where}").to_arrow_reader(BATCH)
        try:
            for batch in reader:
                values = batch.column(0)
                self.missing += values.null_count
                numbers = np.from_dlpack(values.drop_null() if values.null_count else values)  # which needs no pandas
                yield numbers.astype(np.int64 if self.signed else np.uint64, copy=False).view(np.uint64)
        except OSError as error:  # what DuckDB raises while Arrow reads from it
            kind = duckdb.InterruptException if "INTERRUPT" in str(error) else duckdb.IOException
            raise kind(str(error)) from None
        finally:
            reader.close()

    def places(self, low: int, high: int, where: str) -> "Iterator[np.ndarray]":
        """The same, counted from the lower end. Each array is overwritten by the next."""
        import numpy as np

        room = np.empty(BATCH, dtype=np.uint64)
        for numbers in self.batches(where):
            places = np.subtract(numbers, np.uint64(low % _WRAP), out=room[: len(numbers)])
            if len(places) and places.max() > high - low:
                raise _NotAsToldError
            yield places.view(np.int64)

    def spelt(self, number: int) -> str:
        """A number that may have been wrapped around."""
        return str(number - _WRAP if self.signed and number >= _WRAP // 2 else number)


def _crowded(numbers: _Numbers, least: int, most: int) -> list[str]:
    """A byte for each number of the range: where fewer are set than there are rows, some are equal."""
    import numpy as np

    full: list[str] = []
    for low in range(least, most + 1, SLICE):
        high = min(low + SLICE - 1, most)
        where = f"{numbers.name} BETWEEN {low} AND {high}"
        if low == least:  # and whatever there is beyond the ends, which would be noticed
            where = (
                f"{numbers.name} NOT BETWEEN {high + 1} AND {most} OR {numbers.name} IS NULL" if high < most else "true"
            )
        seen, rows = np.zeros(-(-(high - low + 1) // BLOCK) * BLOCK, dtype=np.bool_), 0
        for places in numbers.places(low, high, where):
            seen[places] = True
            rows += len(places)
        if np.count_nonzero(seen) == rows:
            continue
        held = np.zeros(len(seen) // BLOCK, dtype=np.int64)
        for places in numbers.places(low, high, where):
            held += np.bincount(places // BLOCK, minlength=len(held))
        starts = np.flatnonzero(held != seen.reshape(-1, BLOCK).sum(axis=1, dtype=np.int64))[: CROWDED + 1]
        full += [
            f"{numbers.name} BETWEEN {start} AND {min(start + BLOCK - 1, high)}"
            for start in (low + BLOCK * block for block in starts.tolist())
        ]
        if len(full) > CROWDED:
            break
    return full


def _neighbours(numbers: _Numbers, rows: int) -> list[str]:
    """When numbers are sorted, equal ones are neighbours. Each pass takes those of some hashes, which equal ones share."""
    import numpy as np

    parts, repeated = -(-rows // SORTED), []
    room = rows if parts == 1 else rows // parts * 17 // 16 + BATCH
    kept = np.empty(room, dtype=np.uint64)
    for part in range(parts):
        end = 0
        for batch in numbers.batches("true" if parts == 1 else f"hash({numbers.name}) % {parts} = {part}"):
            if end + len(batch) > room:
                raise _NotAsToldError
            kept[end : end + len(batch)] = batch
            end += len(batch)
        now = kept[:end]
        now.sort()
        repeated += np.unique(now[1:][now[1:] == now[:-1]])[: CROWDED + 1].tolist()
        if len(repeated) > CROWDED:
            raise _NotAsToldError
    return [f"{numbers.name} IN ({', '.join(map(numbers.spelt, repeated))})"] if repeated else []
