"""What the command line prints: tables for people, JUnit for build servers."""

import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from mesh_assets.catalog import plain, spelt
from mesh_assets.environment import Environment
from mesh_assets.errors import MeshError, UsageError
from mesh_assets.numerals import many

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
"""Characters of one value in a table on a terminal."""
SHOWN = 200
"""Rows of a query's result on a terminal."""
SAMPLED = 3
"""Failing rows of a failed test for people, where no other number is asked for."""
NARROW = 110
"""A terminal with fewer columns is not shown since when a version is there."""
ENDLESS = 100_000
"""Columns of a file or a pipe: nothing is folded, so that `grep` finds whole lines."""


class Progress:
    """How far a run is, on stderr, so that stdout stays data.

    On a terminal one line that changes and goes away; in a file one line per table as it is finished.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._stop = threading.Event()
        self._watch: threading.Thread | None = None
        self._bar: Bar | None = None
        self._runs: list[tuple[Environment, str]] = []

    def published(self) -> list[str]:
        """What the runs so far have published, in their order."""
        attempts = [attempt for env, run in self._runs for attempt in env.ledger.of_run(run)]
        return [spelt(attempt.table) for attempt in attempts if attempt.outcome == "published"]

    def starting(self) -> None:
        """Dagster is being loaded: some seconds, with dbt more."""
        if self._console.is_terminal:
            columns = (
                SpinnerColumn(),
                BarColumn(20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Bar(*columns, console=self._console, transient=True)
            self._bar.add_task("loading the mesh", total=None)
            self._bar.start()

    def __call__(self, env: Environment, run: str, tables: Sequence[str]) -> None:
        """A run starts: follow it in the ledger until the next one, or the end."""
        self._leave()
        self._runs.append((env, run))
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._follow, args=(env, run, tuple(tables), self._stop), daemon=True)
        self._watch.start()

    def done(self) -> None:
        """Show what is left to show, and stop."""
        self._leave()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _leave(self) -> None:
        self._stop.set()
        if self._watch is not None:
            self._watch.join()
            self._watch = None

    def _follow(self, env: Environment, run: str, tables: Sequence[str], stop: threading.Event) -> None:
        told = 0
        last = False
        while not last:
            last = stop.wait(0.3)
            try:
                attempts = env.ledger.of_run(run)
            except MeshError:  # the run itself will say what keeps the ledger from being read
                continue
            if self._bar is not None:
                building = [spelt(name) for name, by in env.ledger.building().items() if by == run]
                self._bar.update(
                    self._bar.task_ids[0], completed=len(attempts), total=len(tables), description=_named(building)
                )
                continue
            for number, attempt in enumerate(attempts[told:], start=told + 1):
                record = attempt.record
                rows = f"{record['rows']:,} rows" if record.get("rows") is not None else ""
                line = f"{number:>4}/{len(tables)}  {attempt.outcome:<10}{spelt(attempt.table):<42} {rows:>14}"
                self._console.print(f"{line}  {record.get('seconds') or 0:>6.1f} s", soft_wrap=True)
            told = len(attempts)


@contextmanager
def waiting(what: str) -> Generator[None]:
    """A sign on the terminal that something is going on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


UNCHANGED = "nothing has changed"
"""A message that says no more than the status beside it."""


def run_table(report: Mapping) -> None:
    """What came of every table, and the message of those that were not published."""
    console = _stdout()
    rows = report["tables"]
    table = _table("table", "status", ">version", ">rows", ">seconds", "tests")
    for row in rows:
        table.add_row(
            row["table"],
            _word(row["status"]),
            _number(row["version"]),
            _number(row["rows"]),
            f"{row['seconds']:.1f}" if row["seconds"] else "",
            _tests(row["tests"]),
        )
    console.print(table)
    said: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["message"] and row["message"] != UNCHANGED:
            said.setdefault((row["status"], row["message"]), []).append(row["table"])
    for (status, message), names in said.items():  # what a whole domain has in common is said once
        _message(console, status, _named(names), message)
    counts = {status: sum(row["status"] == status for row in rows) for status in STYLES}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    console.print(f"{told or 'no tables'}; the mesh is at version {report['snapshot']['result']}")
    if held := [row["table"] for row in rows if row["status"] == "held" and not _only_passed(row["tests"])]:
        console.print(f"The failing rows: mesh test {' '.join(held)}", style="dim", soft_wrap=True)


def _only_passed(tests: Mapping[str, int] | None) -> bool:
    """Whether no test is the reason that a table is held: a change of its shape is."""
    return bool(tests) and not any(count for word, count in tests.items() if word not in ("pass", "warn"))


def test_table(items: Sequence[Mapping], rows: int | None = None) -> None:  # noqa: PT028 - no test of pytest's
    """Tests that did not pass, by table, with some of the rows that failed; and the count of all.

    Args:
        items: As `mesh test --json` lists them.
        rows: So many failing rows of a test, of warnings too; None: a few of those that failed.
    """
    console = _stdout()
    shown = [item for item in items if item["status"] != "pass"]
    width = max((len(str(item["name"])) for item in shown), default=0)
    heading = None
    for item in shown:
        if heading != (heading := f"{item['table']}, {item['subject']}"):
            console.print(Text(heading, style="bold"))
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(width=7, no_wrap=True)
        line.add_column(width=min(width, console.width // 2))
        line.add_column(overflow="fold")
        line.add_row(Text.assemble("  ", _word(item["status"])), Text(str(item["name"])), Text(_found(item)))
        console.print(line)
        if item["status"] == "fail" or rows:
            for row in (item.get("sample") or ())[: SAMPLED if rows is None else rows]:
                console.print(Text(f"         {_row(row)}", style="dim"), soft_wrap=True)
    counts = [f"{sum(item['status'] == word for item in items)} {word}" for word in ("pass", "warn", "fail", "error")]
    console.print(f"{len(items)} tests: {', '.join(counts)}")


def _row(row: Mapping) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in row.items())


def plan_table(steps: Sequence[Mapping]) -> None:
    """How each test would be answered, by table."""
    console = _stdout()
    heading = None
    width = max((len(str(step["name"])) for step in steps), default=0)
    for step in steps:
        if heading != (heading := f"{step['table']}, {step['subject']}"):
            console.print(Text(heading, style="bold"))
        reads, of = step["reads_files"], step["of_files"]
        read = "whole table" if reads is None else f"{reads} of {of} files" if of is not None else f"{reads} files"
        line = f"  {step['name']:{width}}  {step['rung']:11}  {read:14}  {step['how']}"
        console.print(Text(line), soft_wrap=True)
    free = sum(step["reads_files"] == 0 for step in steps)
    console.print(f"{len(steps)} tests, {free} of them without reading a row")


def status_table(report: Mapping) -> None:
    """Where every table stands, and what is wrong."""
    console = _stdout()
    narrow = console.width < NARROW
    table = _table("table", ">version", *(() if narrow else ("since (UTC)",)), ">rows", "state", "tests")
    for row in _folded(report["tables"]):
        since = () if narrow else (_minute(row["since"]),)
        table.add_row(
            "  " * len(row["part_of"]) + row["table"],
            _number(row["version"]),
            *since,
            _number(row["rows"]),
            _state(row),
            _tests(row["tests"]),
        )
    console.print(table)
    for row in report["tables"]:
        if row["last"] in ("held", "failed") and row["message"]:
            _message(console, row["last"], row["table"], row["message"])
    for item in report["broken"]:
        first, *more = item["problems"]
        rest = f"\n    {len(more)} more: mesh check" if more else ""
        _message(console, "failed", f"domain {item['domain']}", f"it could not be loaded: {first}{rest}")
    for item in report["deprecated"]:
        console.print(Text.assemble(_word("warn"), f" {item['port']} is {item['says']}"), soft_wrap=True)
    for item in report["paused"]:
        why = f": {item['why']}" if item["why"] else ""
        _message(console, "paused", f"domain {item['domain']}", f"since {item['since'][:16]} by {item['by']}{why}")
    incidents_list(report["incidents"])
    for item in report["channels"]:
        if item["state"] == "broken":
            console.print(
                Text.assemble(
                    _word("fail"), f" channel {item['channel']}: {item['error']}; {item['waiting']} notices wait"
                ),
                soft_wrap=True,
            )


def _folded(rows: Sequence[Mapping]) -> Sequence[Mapping]:
    """The rows as they are; where domains have sub-domains, those of one outer domain together, each below its own."""
    if not any(row["part_of"] for row in rows):
        return rows
    outer = list(dict.fromkeys([*row["part_of"], row["domain"]][0] for row in rows))
    ways = {row["domain"]: [*row["part_of"], row["domain"]] for row in rows}
    return sorted(rows, key=lambda row: (outer.index(ways[row["domain"]][0]), ways[row["domain"]][1:]))


def pipelines_table(reports: Sequence[Mapping]) -> None:
    """Every horizontal pipeline, with how its last launch stands."""
    console = _stdout()
    table = _table("pipeline", "delivers", "by", "schedule", "last launch (UTC)", ">seconds", "state")
    for item in reports:
        launch = item["launch"]
        at = launch["at"][:16].replace("T", " ") if launch else ""
        seconds = f"{item['seconds']:,.1f}" if item["seconds"] is not None else ""
        state = _word(item["state"] + (", late" if item["late"] else ""))
        table.add_row(item["pipeline"], ", ".join(item["delivers"]), item["by"], item["schedule"], at, seconds, state)
    console.print(table)
    if not reports:
        console.print("No pipelines. Declare one under `pipelines:` in mesh.yaml.")


def pipeline_table(report: Mapping) -> None:
    """One launch of a pipeline: a line per table with where its time went, and what decided when it was there."""
    console = _stdout()
    launch = report["launch"]
    if launch is None:
        console.print(f"{report['pipeline']} was never launched: mesh pipeline launch {report['pipeline']}")
        return
    path = set(report["critical_path"])
    steps = report["steps"]
    whole = max([step["wait"] + step["queue"] + step["run"] for step in steps], default=0.0) or 1.0
    narrow = console.width < NARROW
    planned = [] if narrow or not any(step.get("start_by") for step in steps) else ["start by (UTC)"]
    table = _table("table", "state", *planned, ">wait", ">queue", ">run", *(() if narrow else ("",)), "waited for")
    for step in steps:
        begin = ((step.get("start_by") or "")[11:19],) if planned else ()
        times = [f"{step[name]:,.1f}" if step["start"] else "" for name in ("wait", "queue", "run")]
        bar = () if narrow else (_bar(step, whole) if step["start"] else "",)
        name = Text(step["table"], style="bold" if step["table"] in path else "")
        waits = (step["why"] if step["state"] in ("current", "unchanged") else "") or step["waited_for"] or ""
        table.add_row(name, _word(step["state"]), *begin, *times, *bar, waits)
    console.print(table)
    late = " late," if report["late"] else ""
    by = f", to be there by {report['deadline'][:16].replace('T', ' ')} UTC" if report["deadline"] else ""
    console.print(f"{report['pipeline']}:{late} {report['state']} after {report['seconds']:,.1f} s{by}", soft_wrap=True)
    if report["state"] != "delivered":
        console.print(f"    {report['sentence']}", soft_wrap=True)
    if report["state"] in ("incomplete", "failed") and report["delivers"]:
        console.print(f"    Who answers for it: mesh why {report['delivers'][0]}", soft_wrap=True)
    if report["critical_path"]:
        console.print(f"critical path (bold): {' → '.join(report['critical_path'])}", style="dim", soft_wrap=True)


def backfills_table(reports: Sequence[Mapping]) -> None:
    """The last backfills, newest first."""
    console = _stdout()
    table = _table("backfill", "table", "from", "to", "asked for (UTC)", ">seconds", "state")
    for item in reports:
        seconds = f"{item['seconds']:,.1f}" if item["seconds"] is not None else ""
        at = item["at"][:16].replace("T", " ")
        table.add_row(item["id"][:8], item["table"], item["from"], item["to"], at, seconds, _word(item["state"]))
    console.print(table)
    if not reports:
        console.print("No backfills. Begin one: mesh backfill run TABLE --from DAY --to DAY")


def backfill_table(report: Mapping) -> None:
    """What a backfill builds, or has built: a line per table."""
    console = _stdout()
    done = "state" in report
    table = _table("table", "from", "to", ">partitions", *(("state", ">seconds") if done else ()))
    for item in report["tables"]:
        span = (item["from"], item["to"], f"{item['partitions']:,}") if item["from"] else ("all of it", "", "")
        seconds = f"{item['seconds']:,.1f}" if done and item["seconds"] is not None else ""
        table.add_row(item["table"], *span, *((_word(item["state"]), seconds) if done else ()))
    console.print(table)
    said = f"{report['table']} from {report['from']} to {report['to']}"
    if not done:
        others = len(report["tables"]) - 1
        console.print(f"{said}, then {many(others, 'table')} downstream where something has changed")
        return
    seconds = f" after {report['seconds']:,.1f} s" if report["seconds"] is not None else ""
    console.print(f"backfill {report['id'][:8]} of {said}: {report['state']}{seconds}", soft_wrap=True)
    if report["sentence"] and report["state"] != "delivered":
        console.print(f"    {report['sentence']}", soft_wrap=True)


BAR = 28
"""Characters of a launch's whole time."""


def _bar(step: Mapping, whole: float) -> Text:
    """Waiting as dots, in the queue as a line, running as a block."""
    lengths = [round(step[name] / whole * BAR) for name in ("wait", "queue", "run")]
    lengths[2] = max(1, lengths[2])
    return Text.assemble(
        ("·" * lengths[0], "dim"), ("─" * lengths[1], "dim"), ("█" * lengths[2], STYLES.get(step["state"], ""))
    )


TOLD = {"opened": "that it is there", "reads": "what it reads", "closed": "that it is over"}
"""What a notice says, by its word."""


def incidents_list(items: Sequence[Mapping]) -> None:
    """Incidents, each with what others read meanwhile and whom it was told to."""
    console = _stdout()
    for item in items:
        ended = f", closed {_minute(item['closed'])}" if item["closed"] else ", mended" if item["mended"] else ""
        head = f"incident {item['id']}, {item['domain']}, since {_minute(item['since'])}{ended}"
        console.print(Text(head, style="dim" if item["closed"] else "bold red"))
        console.print(Text(f"  {item['table']}: {item['cause']}"), soft_wrap=True)
        for each in item["downstream"]:
            reads = each["reads"]
            version = f"version {reads['version']} of {reads['table']}, of {_minute(reads['since'])}"
            said = version if reads["version"] else f"nothing of {reads['table']}"
            console.print(Text(f"  {each['domain']} reads {said}"), soft_wrap=True)
        if item["waiting"]:
            console.print(Text(f"  still to catch up: {', '.join(item['waiting'])}", style="dim"), soft_wrap=True)
        for told in item.get("told", ()):
            how = f" by {told['channel']}" if told["channel"] else ", on record only"
            state = f", not sent: {told['error']}" if told["error"] else "" if told["sent"] else ", to be sent"
            console.print(
                Text(f"  {told['domain']} is told {TOLD[told['word']]}{how}, {_minute(told['at'])}{state}", style="dim")
            )


def history_table(report: Mapping) -> None:
    """What became of a table, what a test said, or how a pipeline's launches went, newest first."""
    console = _stdout()
    if "launches" in report:
        _launches_table(console, report)
        return
    if "test" in report:
        console.print(f"{report['table']}/{report['test']}: {report['promise']}", soft_wrap=True)
        table = _table("when (UTC)", "said", "of", ">failing rows", ">rows", "message")
        for row in report["events"]:
            rows = _number(row["failing_rows"]), _number(row["total_rows"])
            table.add_row(_minute(row["at"]), _word(row["status"]), row["subject"], *rows, row["message"] or "")
        console.print(table)
        return
    table = _table("when (UTC)", "what", ">version", ">rows", ">seconds", "tests", "message")
    for row in report["events"]:
        seconds = f"{row['seconds']:.1f}" if row["seconds"] else ""
        table.add_row(
            _minute(row["at"]), _word(row["outcome"]), _number(row["version"]), _number(row["rows"]), seconds,
            _tests(row["tests"]), row["message"],
        )  # fmt: skip
    console.print(table)
    incidents_list(report["incidents"])


def _launches_table(console: Console, report: Mapping) -> None:
    table = _table("launched (UTC)", "by", "state", ">seconds", ">run", ">queue", "critical path")
    for row in report["launches"]:
        took = f"{row['seconds']:,.1f}" if row["seconds"] is not None else ""
        state = _word(row["state"] + (", late" if row["late"] else ""))
        way = " → ".join(row["critical_path"])
        table.add_row(_minute(row["at"]), row["by"], state, took, f"{row['run']:,.1f}", f"{row['queue']:,.1f}", way)
    console.print(table)
    told = report["measures"]
    if told["launches"]:
        took = f", {told['median_seconds']:,.1f} s (median)" if told["median_seconds"] is not None else ""
        on_time = f", on time {_share(told['on_time'])}" if told["on_time"] is not None else ""
        console.print(f"{told['launches']} ended: delivered {_share(told['delivered'])}{on_time}{took}", style="dim")


def measures_table(domains: Sequence[Mapping]) -> None:
    """DataOps measures of every domain, of the weeks in which anything happened."""
    console = _stdout()
    table = _table(
        "domain", "week", ">attempts", ">on time", ">failed tests", ">errors at readers", ">cycle", ">tested columns"
    )
    for domain in domains:
        for week in domain["weeks"]:
            if week["attempts"] or week["on_time"] is not None:
                cycle = f"{week['cycle'] / 3600:.1f} h" if week["cycle"] is not None else ""
                table.add_row(
                    domain["domain"], week["week"], _number(week["attempts"]), _share(week["on_time"]),
                    _share(week["failed_tests"]), _number(week["errors_at_readers"]), cycle, _share(domain["tested_columns"]),
                )  # fmt: skip
    console.print(table)


def clear() -> None:
    """Begin the screen anew, where there is one."""
    _stdout().clear()


def rows_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "") -> None:
    """A query's result; on a terminal its first rows, one below the other where they are too wide to stand side by side.

    Args:
        columns: Their names.
        rows: Their values.
        empty: What to say when there are no rows, instead of a table without any.
    """
    console = _stdout()
    if empty and not rows:
        console.print(empty)
        return
    shown = rows[:SHOWN] if console.is_terminal else rows
    cells = [[_cell(value, whole=not console.is_terminal) for value in row] for row in shown]
    widths = [max([len(name), *(len(row[place]) for row in cells)]) for place, name in enumerate(columns)]
    if sum(widths) + 2 * len(widths) <= console.width:
        table = _table(*columns)
        for row in cells:
            table.add_row(*row)
        console.print(table)
    else:
        _records(console, columns, shown)
    more = f", {len(shown):,} are shown; --json prints all" if len(shown) < len(rows) else ""
    console.print(f"{many(len(rows), 'row')}{more}", style="dim")


def write_junit(items: Sequence[Mapping], path: Path, *, fail_on: str) -> None:
    """JUnit's XML: one suite per table; what `fail_on` counts is a failure, other warnings are output.

    Raises:
        UsageError: It cannot be written there.
    """
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
        text = "\n".join([text, *map(_row, item.get("sample") or ())])
        if kind:
            ET.SubElement(case, kind, message=str(item.get("message") or item["name"])).text = text
        elif item["status"] == "warn":
            ET.SubElement(case, "system-out").text = text
        for word, counts in (("tests", True), ("failures", kind == "failure"), ("errors", kind == "error")):
            suite.set(word, str(int(suite.get(word, "0")) + counts))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}\n    Name a file in a folder of yours."
        raise UsageError(message) from error


def _records(console: Console, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Rows as blocks: one line per column."""
    for number, row in enumerate(rows, start=1):
        console.print(f"row {number}", style="dim")
        block = Table.grid(padding=(0, 2, 0, 0))
        block.add_column(style="bold", no_wrap=True)
        block.add_column(overflow="fold")
        for name, value in zip(columns, row, strict=True):
            block.add_row(Text(name), _cell(value, whole=True))
        console.print(block)


def _stdout() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else ENDLESS)


def _table(*columns: str) -> Table:
    """A table whose first column, the name, is never broken; the others are, where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        right = column.startswith(">")
        justify = "right" if right else "left"
        table.add_column(Text(column.removeprefix(">")), justify=justify, overflow="fold", no_wrap=place == 0 or right)
    return table


def _message(console: Console, status: str, what: str, message: str) -> None:
    said = message.removeprefix(f"{what} is {status}, ")
    console.print(Text.assemble(_word(status), f" {what}: {said}"), soft_wrap=True)


def _found(item: Mapping) -> str:
    return str(item.get("message") or f"{item['failing_rows']:,} of {item['total_rows']:,} rows")


def _named(tables: Sequence[str]) -> str:
    return ", ".join(tables[:2]) + (f" and {len(tables) - 2} more" if len(tables) > 2 else "")  # noqa: PLR2004 - as above


def _word(status: str) -> Text:
    return Text(status, style=STYLES.get(status, ""))


def _state(row: Mapping) -> Text:
    if row["state"] in ("on time", "passed with warnings") and row["incident"]:
        return Text.assemble(row["state"], (f", behind incident {row['incident']}", "yellow"))
    if row["state"] == "on time":
        return Text("on time", style="dim")
    style = {"passed with warnings": "yellow", "running": "", "upcoming": ""}.get(row["state"], "bold red")
    said = str(row["says"]).splitlines()[0] if row["says"] else ""
    short = row["last"] in ("held", "failed") and row["message"]  # told in full below
    if row["state"] == "passed with warnings" and "does not admit" not in said:
        short = True  # the tests stand beside it
    return Text.assemble((row["state"], style), "" if short else f": {said}")


def _minute(text: str | None) -> str:
    return (text or "")[:16].replace("T", " ")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _tests(counts: Mapping[str, int]) -> Text:
    shown = [
        Text(f"{counts[word]} {word}", style=STYLES[word]) for word in ("pass", "warn", "fail") if counts.get(word)
    ]
    return Text(", ").join(shown)


def _cell(value: object, *, whole: bool = False) -> Text:
    if value is None:
        return Text("null", style="dim")
    return Text(str(plain(value)) if whole else _short(value))


def _short(value: object) -> str:
    text = "null" if value is None else str(plain(value))
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
