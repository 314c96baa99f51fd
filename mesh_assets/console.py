"""What the command line prints: tables for people, JUnit for build servers."""

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mesh_assets.catalog import plain, spelt
from mesh_assets.environment import Environment

STYLES = {
    "published": "green",
    "unchanged": "dim",
    "held": "bold red",
    "failed": "bold red",
    "skipped": "yellow",
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "error": "bold red",
}
WIDEST = 60
"""Characters of one value in a table for people."""


class Progress:
    """One line per table as it is finished, with how many are left; on stderr, so that stdout stays data."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._stop = threading.Event()
        self._watch: threading.Thread | None = None

    def __call__(self, env: Environment, run: str, tables: Sequence[str]) -> None:
        """A run starts: follow it in the ledger until the next one, or the end."""
        self.done()
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._follow, args=(env, run, len(tables), self._stop), daemon=True)
        self._watch.start()

    def done(self) -> None:
        """Show what is left to show, and stop."""
        self._stop.set()
        if self._watch is not None:
            self._watch.join()
            self._watch = None

    def _follow(self, env: Environment, run: str, total: int, stop: threading.Event) -> None:
        told = 0
        last = False
        while not last:
            last = stop.wait(0.3)
            attempts = env.ledger.of_run(run)
            for attempt in attempts[told:]:
                told += 1
                record = attempt.record
                rows = f"{record['rows']:,} rows" if record.get("rows") is not None else ""
                line = Text(f"{told:>4}/{total}  ")
                line.append(f"{attempt.outcome:<10}", style=STYLES.get(attempt.outcome, ""))
                line.append(f"{spelt(attempt.table):<42} {rows:>14}  {record.get('seconds') or 0:>6.1f} s")
                self._console.print(line)


def run_table(report: Mapping) -> None:
    """What came of every table, and the message of those that were not published."""
    console = _stdout()
    rows = report["tables"]
    table = _table("table", "status", ">version", ">rows", "tests", ">seconds")
    for row in rows:
        table.add_row(
            row["table"],
            _word(row["status"]),
            _number(row["version"]),
            _number(row["rows"]),
            _tests(row["tests"]),
            f"{row['seconds']:.1f}" if row["seconds"] else "",
        )
    console.print(table)
    for row in rows:
        if row["status"] in ("held", "failed", "skipped") and row["message"]:
            console.print(Text.assemble(_word(row["status"]), f" {row['table']}: {row['message']}"))
    counts = {status: sum(row["status"] == status for row in rows) for status in STYLES}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    console.print(f"{told}; the mesh is at version {report['snapshot']['result']}")


def test_table(items: Sequence[Mapping]) -> None:
    """Tests that did not pass, one line each, and the count of all."""
    console = _stdout()
    if shown := [item for item in items if item["status"] != "pass"]:
        table = _table("table", "test", "status", ">failing", ">of", "what was found")
        for item in shown:
            counted = (_number(item["failing_rows"]), _number(item["total_rows"]))
            found = f"{item.get('message') or ''} ({item['subject']})"
            table.add_row(item["table"], item["name"], _word(item["status"]), *counted, found)
        console.print(table)
    counts = [f"{sum(item['status'] == word for item in items)} {word}" for word in ("pass", "warn", "fail", "error")]
    console.print(f"{len(items)} tests: {', '.join(counts)}")


def status_table(report: Mapping) -> None:
    """Where every table stands."""
    console = _stdout()
    table = _table("table", ">version", "since (UTC)", ">rows", "tests", "state")
    for row in report["tables"]:
        since = (row["since"] or "")[:16].replace("T", " ")
        state = row["why"] if row["state"] != "current" else Text("up to date", style="dim")
        table.add_row(row["table"], _number(row["version"]), since, _number(row["rows"]), _tests(row["tests"]), state)
    console.print(table)
    for row in report["tables"]:
        if row["last"] in ("held", "failed") and row["message"]:
            console.print(Text.assemble(_word(row["last"]), f" {row['table']}: {row['message']}"))
    for item in report["broken"]:
        console.print(Text.assemble(_word("failed"), f" domain {item['domain']} could not be loaded: mesh check"))


def rows_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A query's result."""
    console = _stdout()
    table = _table(*columns)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)
    console.print(f"{len(rows):,} row{'s' * (len(rows) != 1)}", style="dim")


def write_junit(items: Sequence[Mapping], path: Path, *, fail_on: str) -> None:
    """JUnit's XML: one suite per table; what `fail_on` counts is a failure, other warnings are output."""
    failing = ("fail", "warn") if fail_on == "warn" else ("fail",)
    root = ET.Element("testsuites", name="mesh")
    suites: dict[str, ET.Element] = {}
    for item in items:
        name = str(item["table"])
        if name not in suites:
            suites[name] = ET.SubElement(root, "testsuite", name=name, tests="0", failures="0", errors="0")
        suite = suites[name]
        case = ET.SubElement(suite, "testcase", classname=name.replace("/", "."), name=str(item["name"]))
        kind = "error" if item["status"] == "error" else "failure" if item["status"] in failing else ""
        text = f"{item.get('message') or ''}\n{item['failing_rows']} of {item['total_rows']} rows, {item['subject']}"
        if kind:
            ET.SubElement(case, kind, message=str(item.get("message") or item["name"])).text = text
        elif item["status"] == "warn":
            ET.SubElement(case, "system-out").text = text
        for word, counts in (("tests", True), ("failures", kind == "failure"), ("errors", kind == "error")):
            suite.set(word, str(int(suite.get(word, "0")) + counts))
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _stdout() -> Console:
    wide = None if sys.stdout.isatty() else 200
    return Console(highlight=False, width=wide, soft_wrap=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(Text(column.removeprefix(">")), justify="right" if right else "left", overflow="fold")
    return table


def _word(status: str) -> Text:
    return Text(status, style=STYLES.get(status, ""))


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _tests(counts: Mapping[str, int]) -> Text:
    shown = [Text(f"{counts[word]} {word}", style=STYLES[word]) for word in ("pass", "warn", "fail") if counts.get(word)]
    return Text(", ").join(shown)


def _cell(value: object) -> Text:
    if value is None:
        return Text("null", style="dim")
    text = str(plain(value))
    return Text(text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…")
