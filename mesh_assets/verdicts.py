"""Verdicts on single data files, kept in the ledger's database by content: see `audit.contents.Memory`.

The key of a file is the SHA-256 of its bytes. It is computed once for a file of that path, size and time of change; data
files are written once and never changed, and a copy or a restored one of other bytes has another key.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

import sqlalchemy as sa

from mesh_assets.audit.contents import Found
from mesh_assets.store import Store

_schema = sa.MetaData()
_files = sa.Table(
    "data_files",
    _schema,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("stamp", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
)
_verdicts = sa.Table(
    "verdicts",
    _schema,
    sa.Column("rule", sa.Text, primary_key=True),
    sa.Column("file", sa.Text, primary_key=True),
    sa.Column("failing", sa.BigInteger, nullable=False),
)
_places = sa.Table(
    "failing_places",
    _schema,
    sa.Column("rule", sa.Text, primary_key=True),
    sa.Column("file", sa.Text, primary_key=True),
    sa.Column("first", sa.JSON, nullable=False),
)
_proved = sa.Table(
    "proved_sets",
    _schema,
    sa.Column("rule", sa.Text, primary_key=True),
    sa.Column("files", sa.JSON, nullable=False),
)
CHUNK = 500
"""Values in one statement: databases have limits."""


class Verdicts:
    """The memory of one environment."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.ensure(_schema)

    def identify(self, files: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
        """Content keys by path, the closest first: with its deletes, then the whole file. Unreadable ones have none."""
        hashes = self._hashes([*files, *filter(None, files.values())])
        found = {}
        for path, deletes in files.items():
            if path not in hashes or (deletes and deletes not in hashes):
                continue
            whole = hashes[path]
            both = hashlib.sha256(f"{whole} {hashes[deletes]}".encode()).hexdigest() if deletes else ""
            found[path] = (both, whole) if deletes else (whole,)
        return found

    def recall(self, rules: frozenset[str], files: frozenset[str]) -> Mapping[tuple[str, str], Found]:
        """What was counted, by (rule, file)."""
        found, listed, c = {}, sorted(files), _verdicts.c
        both = _verdicts.outerjoin(_places, (c.rule == _places.c.rule) & (c.file == _places.c.file))
        query = sa.select(c.rule, c.file, c.failing, _places.c.first).select_from(both)
        with self._store.reading() as db:
            for start in range(0, len(listed), CHUNK):
                here = query.where(c.rule.in_(sorted(rules)), c.file.in_(listed[start : start + CHUNK]))
                found.update(
                    {(row.rule, row.file): Found(row.failing, tuple(row.first or ())) for row in db.execute(here)}
                )
        return found

    def keep(self, found: Mapping[tuple[str, str], Found]) -> None:
        """Remember what was counted, by (rule, file)."""
        keyed = [({"rule": rule, "file": file}, one) for (rule, file), one in sorted(found.items(), key=itemgetter(0))]
        counts = [{**key, "failing": one.failing} for key, one in keyed]
        places = [{**key, "first": list(one.first)} for key, one in keyed if one.first]
        if counts:
            with self._store.writing() as db:
                self._store.put(db, _verdicts, counts, replace=True)
                if places:
                    self._store.put(db, _places, places, replace=True)

    def recall_set(self, rule: str) -> frozenset[str]:
        """Files that together were proved to keep the rule."""
        with self._store.reading() as db:
            found = db.execute(sa.select(_proved.c.files).where(_proved.c.rule == rule)).scalar()
        return frozenset(found or ())

    def keep_set(self, rule: str, files: frozenset[str]) -> None:
        """Remember files that together keep the rule, in place of those before."""
        with self._store.writing() as db:
            self._store.put(db, _proved, {"rule": rule, "files": sorted(files)}, replace=True)

    def _hashes(self, paths: list[str]) -> dict[str, str]:
        stamps = {path: stamp for path in paths if (stamp := _stamp(path))}
        known, listed = {}, sorted(stamps)
        with self._store.reading() as db:
            for start in range(0, len(listed), CHUNK):
                query = sa.select(_files).where(_files.c.path.in_(listed[start : start + CHUNK]))
                known.update({row.path: row.sha256 for row in db.execute(query) if row.stamp == stamps[row.path]})
        fresh = {path: _sha256(path) for path in listed if path not in known}
        if fresh:
            rows = [{"path": path, "stamp": stamps[path], "sha256": sha} for path, sha in fresh.items()]
            with self._store.writing() as db:
                self._store.put(db, _files, rows, replace=True)
        return known | fresh


def _stamp(path: str) -> str:
    with suppress(OSError):
        stat = Path(path).stat()
        return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
    return ""


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
