"""domain.yaml to a Domain and the options of its tables."""

import datetime as dt
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from mesh_assets.account.expected import moment
from mesh_assets.contract import Contract
from mesh_assets.domain import (
    Consistency,
    Domain,
    InputPort,
    Load,
    OnFailure,
    OutputPort,
    PartitionMapping,
    Partitions,
    Source,
    Team,
)
from mesh_assets.errors import Problem, nearest
from mesh_assets.reading import shape
from mesh_assets.reading.cron import is_cron
from mesh_assets.reading.draft import Options
from mesh_assets.reading.pipelines import read as read_pipelines
from mesh_assets.reading.source import Document, Map, child, maps, text, texts

FORMATS = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson")
PACKED = (".gz", ".zst")
SAYS = frozenset({
    "toolchain", "command", "notebook", "inputs", "files", "env", "format", "timeout",
    "image", "exchange", "exchange_there", "client", "location", "relation", "changed_by", "every",
})  # fmt: skip
"""Keys of a table that is built by a program, or is kept by somebody else."""

Choice = TypeVar("Choice", bound=StrEnum)
ContractOf = Callable[[str, str, Map | None], Contract | None]  # file, table that it is for, who asks for it


@dataclass(slots=True)
class DomainText:
    """What domain.yaml says."""

    domain: Domain
    options: dict[str, tuple[Options, Partitions | None, str]]  # by table: with its partitions and its automation
    problems: list[Problem]


def read_domain(document: Document, folder: Path, contract: ContractOf) -> DomainText:
    """The domain that the file describes; what is wrong with it is in `problems`.

    Args:
        document: domain.yaml.
        folder: The domain's.
        contract: Gives the contract in a file of `contracts/`; asked with an empty file name for a table's own.
    """
    root, problems = document.root, shape.ours("domain").problems(document)
    reader = _DomainFile(document, contract, problems)
    team = child(root, "team")
    pipelines, wrong = read_pipelines(document, text(root, "domain"))
    problems += wrong
    domain = Domain(
        name=text(root, "domain"),
        path=folder,
        part_of=text(root, "part_of"),
        title=text(root, "title"),
        purpose=text(root, "purpose"),
        team=Team(
            name=text(team, "name"),
            owner=text(team, "owner"),
            support=text(team, "support"),
            notify=texts(team, "notify"),
            where=document.place(team, "notify") if "notify" in team else document.place(),
        ),
        inputs=tuple(reader.input(entry) for entry in maps(root, "inputs") if text(entry, "port")),
        sources=tuple(reader.source(entry) for entry in maps(root, "inputs") if text(entry, "source")),
        outputs=tuple(reader.output(entry) for entry in maps(root, "outputs") if text(entry, "port")),
        automation=reader.automation(root) or "eager",
        executor=text(root, "executor", "in_process"),
        pipelines=pipelines,
        where=document.place(root, "domain"),
    )
    tables = child(root, "tables")
    options = {name: reader.options(tables, name, entry) for name, entry in tables.items() if isinstance(entry, Map)}
    return DomainText(domain, options, problems)


def entries(document: Document) -> list[Map]:
    """What is said of each table under `tables:`."""
    return [entry for entry in child(document.root, "tables").values() if isinstance(entry, Map)]


class _DomainFile:
    def __init__(self, document: Document, contract: ContractOf, problems: list[Problem]) -> None:
        self.document, self.contract, self.problems = document, contract, problems

    def input(self, entry: Map) -> InputPort:
        port = text(entry, "port")
        if not re.fullmatch(r"\w+\.\w+", port):
            slashed = port.replace("/", ".")
            mend = (
                f"Write `{slashed}`."
                if re.fullmatch(r"\w+\.\w+", slashed)
                else "Write the domain's name, a point and the port's name."
            )
            self._wrong("M110", f"`{port}` is no port: it must be `domain.port`", mend, entry, "port")
        file = text(entry, "contract")
        return InputPort(
            table=port,
            contract=self.contract(file, port.partition(".")[2], entry) if file else None,
            on_failure=_one_of(OnFailure.STOP, text(entry, "on_failure")),
            consistency=_one_of(Consistency.STRICT, text(entry, "consistency")),
            partition_mapping=self._mapping(entry, "partition_mapping"),
            where=self.document.place(entry, "port"),
        )

    def source(self, entry: Map) -> Source:
        pattern = text(entry, "source")
        parts = pattern.split("/")
        if pattern.startswith(("/", "~")) or ".." in parts or "\\" in pattern or re.match(r"\w+:", pattern):
            mend = "Put the files below the domain's folder, and write a path such as `raw/orders/*.csv`."
            self._wrong("M016", f"the source `{pattern}` leads out of the domain's folder", mend, entry, "source")
        elif not readable(pattern):
            ending = posixpath.splitext(parts[-1])[1]
            mend = f"It can end in {', '.join(FORMATS)}, and be packed with {' or '.join(PACKED)}."
            what = (
                f"has the ending `{ending}`, which is not read"
                if ending
                else "has no ending that says what is in its files"
            )
            self._wrong("M105", f"the source `{pattern}` {what}", mend, entry, "source")
        table = text(entry, "as") or _named_after(pattern)
        if not table:
            mend = "Add `as:` with the name of its table."
            self._wrong("M105", f"nothing in `{pattern}` gives the source a name", mend, entry, "source")
        return Source(
            pattern=pattern,
            table=table,
            contract=self.contract(text(entry, "contract"), table, entry),
            where=self.document.place(entry, "source"),
        )

    def output(self, entry: Map) -> OutputPort:
        port, sunset = text(entry, "port"), text(entry, "sunset")
        if sunset and not _is_date(sunset):
            mend = "Write year, month and day, such as `2027-03-31`."
            self._wrong("M417", f"`sunset` is `{sunset}`, which is no date", mend, entry, "sunset")
            sunset = ""
        return OutputPort(
            table=port,
            contract=self.contract(text(entry, "contract"), port, entry),
            compatibility=text(entry, "compatibility", "backward"),
            successor=text(entry, "successor"),
            sunset=sunset,
            engine=text(entry, "engine"),
            where=self.document.place(entry, "port"),
            engine_where=self.document.place(entry, "engine"),
        )

    def options(self, tables: Map, name: str, entry: Map) -> tuple[Options, Partitions | None, str]:
        load = _one_of(Load.FULL, text(entry, "load"))
        options = Options(
            load,
            texts(entry, "key"),
            self.document.place(tables, name),
            self.document.place(entry, "key"),
            self._expected_by(entry),
            self._mappings(child(entry, "partition_mapping")),
        )
        return options, self._partitions(entry), self.automation(entry)

    def _expected_by(self, entry: Map) -> str:
        written = text(entry, "expected_by")
        if written and moment(written) is None:
            mend = "Write a time and a zone, with a weekday where it comes once a week: `Monday 09:00 Europe/Zurich`."
            self._wrong("M831", f"`{written}` is no time by which a table can be expected", mend, entry, "expected_by")
            return ""
        return written

    def automation(self, owner: Map) -> str:
        written = text(owner, "automation")
        if not written or written in ("eager", "manual"):
            return written
        if not is_cron(written):
            mend = nearest(
                written, ("eager", "manual"), otherwise="Write `eager`, `manual` or five fields such as `0 6 * * 1`."
            )
            self._wrong("M104", f"the automation `{written}` is no schedule", mend, owner, "automation")
        return written

    def _partitions(self, entry: Map) -> Partitions | None:
        if "partitions" not in entry:
            for key in ("partition_by", "start"):
                if key in entry:
                    self._wrong(
                        "M106", f"`{key}` without `partitions`", "Add `partitions: daily`, or take it out.", entry, key
                    )
            return None
        nested = child(entry, "partitions")
        owner, by, every = (
            (nested, "by", text(nested, "every")) if nested else (entry, "partition_by", text(entry, "partitions"))
        )
        missing = [key for key in (by, "start") if key not in owner]
        if missing and not nested:  # nested: the schema has told it
            mend = "Write `partition_by: <column>` and `start: 2026-01-01` beside it."
            self._wrong(
                "M106", f"`partitions` needs {' and '.join(f'`{key}`' for key in missing)}", mend, entry, "partitions"
            )
        start = text(owner, "start")
        if start and not _is_date(start):
            self._wrong(
                "M106",
                f"`start` is `{start}`, which is no date",
                "Write year, month and day, such as `2026-01-01`.",
                owner,
                "start",
            )
        return Partitions(every=every, by=text(owner, by), start=start)

    def _mappings(self, entry: Map) -> dict[str, PartitionMapping]:
        found = {name: self._mapping(entry, name) for name in entry}
        return {name: mapping for name, mapping in found.items() if mapping}

    def _mapping(self, owner: Map, key: str) -> PartitionMapping | None:
        """What is written under a key; None when nothing is, or what the schema has refused."""
        written, where = owner.get(key), self.document.place(owner, key)
        if written == "same":
            return PartitionMapping(where=where)
        if not isinstance(written, Map):
            return None
        before, after = (value if type(value := written.get(name)) is int else 0 for name in ("before", "after"))
        return PartitionMapping(before=before, after=after, where=where)

    def _wrong(self, code: str, what: str, mend: str, owner: Map, key: str) -> None:
        self.problems.append(self.document.problem(code, what, mend, owner, key))


def _one_of(otherwise: Choice, written: str) -> Choice:
    """The choice that is written; `otherwise` for none and for one that the schema has refused."""
    return type(otherwise)(written) if written in tuple(type(otherwise)) else otherwise


def _named_after(pattern: str) -> str:
    """The last folder before the pattern, or the file's stem."""
    parts = pattern.split("/")
    fixed = [part for part in parts[:-1] if not re.search(r"[*?\[]", part)]
    if re.search(r"[*?\[]", pattern):
        return fixed[-1] if fixed else ""
    return parts[-1].partition(".")[0]


def readable(pattern: str) -> bool:
    """Whether files of that name are read, by their ending."""
    name = pattern.lower()
    for ending in PACKED:
        name = name.removesuffix(ending)
    return name.endswith(FORMATS) and not (name != pattern.lower() and name.endswith(".parquet"))


def _is_date(written: str) -> bool:
    try:
        dt.date.fromisoformat(written)
    except ValueError:
        return False
    return True
