"""Values that look like those they stand for: the same value always becomes the same one, with a key that nobody else has.

What is joined or counted by a masked column still is: whole numbers, and texts of digits only, go one to one; other texts keep
their length, and letters, digits and signs where they were.
"""

import hashlib
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_assets.lake import staging
from mesh_assets.lake.catalog import PostgresCatalog
from mesh_assets.lake.sqltext import as_parquet, parquet, quoted, text
from mesh_assets.lake.trouble import explained

if TYPE_CHECKING:
    import duckdb

    from mesh_assets.lake.lake import Lake

NOWHERE = "not-masked.parquet"
"""What a fork calls the files of versions that nobody in it may ask for: there is no such file."""

_ROUNDS = 6
_WIDEST = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19}
"""Digits of the largest number of a type. A number so long keeps its first two digits; what does not fit then becomes NULL."""
_MULTIPLIERS = (1, 3, 7, 9)


def masked(relation: str, columns: Mapping[str, str], key: str) -> str:
    """A query on a relation in which some columns are masked: by name, the type that each is given first."""
    told = ", ".join(f"{_masked(name, kind, key)} AS {quoted(name)}" for name, kind in columns.items())
    return f"SELECT * REPLACE ({told}) FROM {relation}" if told else f"FROM {relation}"


def mask_files(lake: "Lake", table: str, columns: Mapping[str, str], key: str, versions: Collection[int]) -> None:
    """See `Lake.mask`."""
    p, (domain, _, name) = lake.catalog.prefix, table.partition(".")
    ids = (
        f"SELECT t.table_id FROM {p}ducklake_table t JOIN {p}ducklake_schema s ON s.schema_id = t.schema_id "
        f"WHERE s.schema_name = {text(domain)} AND t.table_name = {text(name)}"
    )
    files = lake._rows(
        f"SELECT data_file_id, path, path_is_relative, begin_snapshot, end_snapshot, mapping_id FROM {p}ducklake_data_file "
        f"WHERE table_id IN ({ids})"
    )
    con = lake.connect()
    statements = []
    try:
        with explained(f"Masking {table}"):
            folder = lake.folder(table)
            folder.mkdir(parents=True, exist_ok=True)
            for file_id, path, relative, begin, end, mapping in files:
                told = {"path": str(lake.data / NOWHERE)}
                if any(begin <= version and (end is None or end > version) for version in versions):
                    source = str(folder / path) if relative else path
                    told = _copy(con, source, folder, columns, key, by_id=mapping is None)
                values = ", ".join(
                    f"{column} = {value if isinstance(value, int) else text(value)}" for column, value in told.items()
                )
                statements.append(
                    f"UPDATE {p}ducklake_data_file SET {values}, path_is_relative = (1 = 0) WHERE data_file_id = {file_id}"
                )
            # The smallest and the largest value of a file, or of the table, are values, too; and what does not fit is empty now.
            named = ", ".join(text(column) for column in columns)
            which = f"column_id IN (SELECT column_id FROM {p}ducklake_column WHERE table_id IN ({ids}) AND column_name IN ({named}))"
            statements += [
                f"UPDATE {p}ducklake_{stats} SET min_value = NULL, max_value = NULL, {nulls} WHERE table_id IN ({ids}) AND {which}"
                for stats, nulls in (
                    ("file_column_stats", "null_count = NULL"),
                    ("table_column_stats", "contains_null = (1 = 1)"),
                )
            ]
            _write(lake, con, statements)
    finally:
        con.close()


def _copy(
    con: "duckdb.DuckDBPyConnection", source: str, folder: Path, columns: Mapping[str, str], key: str, *, by_id: bool
) -> dict[str, str | int]:
    """A masked copy of a file, its rows in the same order, for deleted rows are known by their place."""
    there = dict(staging.described(con, parquet((source,))))
    query = masked(parquet((source,)), {name: kind for name, kind in columns.items() if name in there}, key)
    target = folder / f"{uuid.uuid4()}.parquet"
    ids = ""
    if by_id:  # DuckLake wrote the file, and knows its columns by number
        rows = con.execute(
            f"SELECT name, field_id FROM parquet_schema({text(source)}) WHERE field_id IS NOT NULL"
        ).fetchall()
        ids = f", FIELD_IDS {{{', '.join(f'{quoted(name)}: {number}' for name, number in rows)}}}" if rows else ""
    stats = con.execute(f"COPY ({query}) TO {text(str(target))} ({as_parquet(there.values())}, RETURN_STATS{ids})")
    told = dict(zip((column[0] for column in stats.description or ()), stats.fetchone() or (), strict=False))
    return {
        "path": str(target),
        "file_size_bytes": int(told["file_size_bytes"]),
        "footer_size": int(told["footer_size_bytes"]),
    }


def _write(lake: "Lake", con: "duckdb.DuckDBPyConnection", statements: list[str]) -> None:
    if isinstance(lake.catalog, PostgresCatalog):
        with lake.catalog.connect() as db, db.transaction():
            for statement in statements:
                db.execute(statement)  # ty: ignore
        return
    with lake.catalog.locked():
        con.execute("BEGIN")
        for statement in statements:
            con.execute(statement)
        con.execute("COMMIT")


def can_mask(kind: str) -> bool:
    """Whether values of a type can be masked."""
    return kind in _WIDEST or kind in _OTHERS or kind.startswith("DECIMAL")


def _masked(name: str, kind: str, key: str) -> str:
    value = f"TRY_CAST({quoted(name)} AS {kind})"
    if kind == "VARCHAR":
        return _text(value, key)
    if kind in _WIDEST:
        return f"TRY_CAST({_whole(value, _WIDEST[kind], key)} AS {kind})"
    if kind.startswith("DECIMAL"):
        scale = int(kind.rstrip(")").rpartition(",")[2]) if "," in kind else 0
        unscaled = f"CAST({value} * 1{'0' * scale} AS DECIMAL(38,0))"
        return f"CAST({_whole(unscaled, 38, key)}::DECIMAL(38,0) / 1{'0' * scale}::DECIMAL(38,0) AS {kind})"
    return _OTHERS[kind].format(v=value, n=_number(f"{value}::VARCHAR", key, 0), kind=kind)


_OTHERS = {
    "VARCHAR": "",
    "DOUBLE": "{v} * (0.5 + ({n} % 1000000) / 1000000.0)",
    "FLOAT": "CAST({v} * (0.5 + ({n} % 1000000) / 1000000.0) AS FLOAT)",
    "DATE": "{v} + CAST(({n} % 731)::INTEGER - 365 AS INTEGER)",
    "TIMESTAMP": "{v} + to_seconds(CAST({n} % 63072000 AS BIGINT) - 31536000)",
    "TIMESTAMP WITH TIME ZONE": "{v} + to_seconds(CAST({n} % 63072000 AS BIGINT) - 31536000)",
    "BOOLEAN": "CASE WHEN {v} IS NOT NULL THEN {n} % 2 = 0 END",
    "UUID": "CAST(md5({v}::VARCHAR || {n}::VARCHAR) AS UUID)",
}


def _number(words: str, key: str, salt: int | str) -> str:
    """A number of 64 bits that only who has the key can tell from the words."""
    salted = text(f"{key} {salt} ") if isinstance(salt, int) else f"{text(f'{key} ')} || {salt} || ' '"
    return f"md5_number_lower({salted} || {words})"


def _text(value: str, key: str) -> str:
    # 62 hexadecimal digits make 31 places; a longer text begins again with them.
    digest = f"sha256({text(f'{key} text ')} || {value})"
    chance = "CAST('0x' || substr(d, 1 + 2 * ((i - 1) % 31), 2) AS INTEGER)"
    place = (
        f"CASE WHEN {value}[i] BETWEEN '0' AND '9' THEN chr(48 + {chance} % 10) "
        f"WHEN {value}[i] <> lower({value}[i]) THEN chr(65 + {chance} % 26) "
        f"WHEN {value}[i] <> upper({value}[i]) THEN chr(97 + {chance} % 26) ELSE {value}[i] END"
    )
    places = f"array_to_string(list_transform(range(1, length({value}) + 1), lambda i: {place}), '')"
    mixed = f"list_transform([{digest}], lambda d: {places})[1]"
    return (
        f"CASE WHEN {value} IS NULL THEN NULL WHEN regexp_full_match({value}, '[0-9]{{2,36}}') "
        f"THEN {_digits(value, key)} ELSE {mixed} END"
    )


def _whole(value: str, widest: int, key: str) -> str:
    """A whole number of as many digits, and of the same sign: the first digit stays, for it must not be 0."""
    words = f"CAST(abs(CAST({value} AS DECIMAL(38,0))) AS VARCHAR)"
    seed = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16)
    single = f"CAST((TRY_CAST({words} AS INTEGER) * {_MULTIPLIERS[seed % 4]} + {seed % 10}) % 10 AS VARCHAR)"
    kept = f"(CASE WHEN length({words}) >= {widest} THEN 2 ELSE 1 END)"
    rest = f"substr({words}, 1 + {kept})"
    two = f"CAST((TRY_CAST({rest} AS INTEGER) * {_MULTIPLIERS[seed // 4 % 4]} + {seed // 16 % 10}) % 10 AS VARCHAR)"
    found = (
        f"CASE length({rest}) WHEN 0 THEN {single} WHEN 1 THEN left({words}, {kept}) || {two} "
        f"ELSE left({words}, {kept}) || {_digits(rest, key)} END"
    )
    sign = f"CASE WHEN {value} < 0 THEN '-' ELSE '' END"
    return f"CASE WHEN {value} IS NOT NULL THEN {sign} || {found} END"


def _digits(value: str, key: str) -> str:
    """A text of digits of the same length, one to one: a Feistel network of two halves, as in NIST's FF1."""
    left = f"CAST(length({value}) // 2 AS INTEGER)"
    right = f"CAST(length({value}) - length({value}) // 2 AS INTEGER)"
    start = f"[TRY_CAST(left({value}, {left}) AS HUGEINT), TRY_CAST(substr({value}, 1 + {left}) AS HUGEINT)]"
    rounds = ", ".join(f"[{number}::HUGEINT]" for number in range(_ROUNDS))
    modulus = f"CAST(rpad('1', 1 + CASE WHEN r[1] % 2 = 0 THEN {left} ELSE {right} END, '0') AS HUGEINT)"
    chance = _number("s[2]::VARCHAR", key, "r[1]::VARCHAR")
    step = f"[s[2], (s[1] + {chance}) % {modulus}]"
    done = f"list_reduce([{start}, {rounds}], lambda s, r: {step})"
    return f"lpad(({done})[1]::VARCHAR, {left}, '0') || lpad(({done})[2]::VARCHAR, {right}, '0')"
