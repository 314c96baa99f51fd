"""`mesh impact`: from a proposed change to its report, with the readers' tests run where that is asked for."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from mesh_assets import deprecation
from mesh_assets.changes import proposed as proposals
from mesh_assets.changes.adapting import Readers
from mesh_assets.changes.binding import Bench, DoesNotBind
from mesh_assets.changes.byhand import Line, by_hand
from mesh_assets.changes.byhand import to_json as by_hand_json
from mesh_assets.changes.impact import Moved, assess
from mesh_assets.changes.judge import Json, Report, cache_of, report, to_json, unread_readers
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.likeness import by_rows
from mesh_assets.changes.lineage import Over
from mesh_assets.changes.model import Kind, event_id
from mesh_assets.changes.proposed import Proposed
from mesh_assets.changes.record import ChangeRecord
from mesh_assets.changes.rehearse import Rehearsed, rehearse
from mesh_assets.changes.renames import Rename, possible
from mesh_assets.changes.renames import to_json as renames_json
from mesh_assets.changes.shim import shim
from mesh_assets.changes.texts import Text
from mesh_assets.domain import Mesh, Table
from mesh_assets.environment import Environment
from mesh_assets.errors import Problem, UsageError

V = TypeVar("V")
ADDED = frozenset({Kind.COLUMN_ADDED, Kind.REQUIRED_COLUMN_ADDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a change means.

    Attributes:
        shims: SQL that keeps the old port alive beside its successor, by port; each binds, and gives the old columns.
        patches: Diffs for readers, by table; in SQL each binds on the new columns.
        failed: Changed tables whose own code or tests failed, by table, with why.
        not_run: Those whose code could not be run here, likewise.
        by_hand: Lines that a person has to look at, by table, where there is no patch.
        renames: Columns that are gone and look like one that is new.
    """

    report: Report
    shims: Mapping[str, str] = field(default_factory=dict)
    patches: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    not_run: Mapping[str, str] = field(default_factory=dict)
    by_hand: Mapping[str, tuple[Line, ...]] = field(default_factory=dict)
    renames: tuple[Rename, ...] = ()


def ask(
    env: Environment,
    proposed: Proposed,
    *,
    run: bool = False,
    made: bool = True,
    ran: Mapping[str, Rehearsed] | None = None,
) -> Answered:
    """The report on a change that is not published.

    Args:
        run: Run the readers' own tests on candidate data.
        made: The change is in the files: the candidate is what they give; else it is made from the published rows.
        ran: What tables' tests have said already, where the change was built beside production.
    """
    record = ChangeRecord(env)
    record.sync()
    verdicts = assess(env.mesh, proposed.columns, proposed.start, cache=cache_of(env))
    runs = {name: one for name, one in (ran or {}).items() if name not in proposed.start}
    renames = {(one.port, one.before): one for one in proposed.renames}
    failed, not_run = {}, {}
    if run:
        hit = [each.table for each in verdicts if each.hit and each.table not in proposed.start]
        first = [name for name in env.mesh.tables if made and name in proposed.start]
        candidates = {} if made else candidates_of(env, proposed.start)
        order = [name for name in env.mesh.tables if name in {*first, *hit}]

        def look(name: str, relation: str) -> None:
            if name in first and possible(proposed.start[name].changes):
                moved = proposed.start[name]
                for one in by_rows(env, name, (moved.old, moved.new), relation):
                    renames.setdefault((one.port, one.before), one)

        # Where nothing is new, rows under the new columns can be made of those that are published.
        kept = {
            name: moved for name, moved in proposed.start.items() if not ADDED & {one.kind for one in moved.changes}
        }
        instead = candidates_of(env, kept) if made else {}
        runs = rehearse(env, env.mesh, order, candidates, look, new=first, instead=instead)
        failed = {name: _why(runs[name]) for name in first if runs[name].failed}
        not_run = {name: _not_run(runs[name], tried=name in instead) for name in first if not runs[name].ran}
        runs = {name: one for name, one in runs.items() if name not in first}
    answers = {}
    today = datetime.now(UTC).date()
    for port, moved in proposed.start.items():
        answers |= {
            who: one for who, one in record.answers(event_id(port, moved.old, moved.new)).items() if one.holds(today)
        }
    unread = unread_readers(env)
    found = report(
        env.mesh, proposed.columns, proposed.start, runs=runs, answers=answers, verdicts=verdicts, unread=unread
    )
    offered = _patches(env, proposed, [each.table for each in verdicts if each.hit])
    return Answered(
        report=found,
        shims=_shims(env.mesh, proposed),
        patches=offered,
        failed=failed,
        not_run=not_run,
        by_hand=by_hand(env.mesh, proposed.start, verdicts, offered),
        renames=tuple(renames.values()),
    )


def told(
    env: Environment,
    *,
    base: str = "",
    port: str = "",
    drop: Sequence[str] = (),
    rename: Sequence[str] = (),
    retype: Sequence[str] = (),
    run: bool = False,
) -> tuple[Answered, Json]:
    """What a change means, and the JSON of `mesh impact`: of the files against a git ref, or of a question about a port.

    Raises:
        UsageError: There is no such ref, table or column, or nothing is asked.
    """
    asked = [*drop, *rename, *retype]
    if bool(port) != bool(asked) or (port and base):
        raise UsageError(
            "a question is `--base REF`, or `--port` with `--drop-column`, `--rename` or `--retype`\n"
            "    Example: mesh impact --port customers/physicians --drop-column zip"
        )
    env.sync()
    were: set[str] | None = None
    with ExitStack() as stack:
        if port:
            change = proposals.asked(env.mesh, known_columns(env), port, drop=drop, rename=rename, retype=retype)
        else:
            before = stack.enter_context(proposals.mesh_at(env.mesh, base or "HEAD"))
            known = known_columns(env, before)
            change = proposals.between(before, env.mesh, known, known.as_built)
            were = {one.table for one in deprecation.all_deprecated(before)}
        answered = ask(env, change, run=run, made=not port)
    report = to_json(answered.report, base="" if port else base or "HEAD")
    report["renames"] = renames_json(answered.renames, env.mesh)
    report |= {"shims": _spelt(answered.shims), "patches": _spelt(answered.patches)}
    report |= {"failed": _spelt(answered.failed), "not_run": _spelt(answered.not_run)}
    report["by_hand"] = by_hand_json(answered.by_hand)
    today = datetime.now(UTC).date()
    ending = [one for one in deprecation.all_deprecated(env.mesh) if one.table in change.start or _begins(one, were)]
    report["deprecated"] = [deprecation.to_json(one, today) for one in ending]
    report["removed_ports"] = list(_spelt(change.gone))
    report["removed_ports_read_by"] = {name: list(who) for name, who in _spelt(change.gone).items()}
    report["unread"] = {name: _unread(env.mesh.broken[name][0], who) for name, who in change.unread.items()}
    return answered, report


def _begins(ending: deprecation.Deprecated, were: set[str] | None) -> bool:
    """Whether a port is deprecated only since the git ref; `were` are those that were so then."""
    return were is not None and ending.table not in were


def _unread(problem: Problem, readers: Sequence[str]) -> Json:
    where = problem.where
    return {"path": where.path, "line": where.line, "problem": problem.what, "read_by": list(readers)}


def _spelt(found: Mapping[str, V]) -> dict[str, V]:
    return {name.replace(".", "/", 1): one for name, one in found.items()}


def _why(run: Rehearsed) -> str:
    return run.why or "; ".join(str(item.get("message") or item["name"]) for item in run.failed)


def _not_run(run: Rehearsed, *, tried: bool) -> str:
    readers = "were tried on the published rows, under the new columns" if tried else "were not run either"
    return f"{run.why}; its readers {readers}"


def candidates_of(env: Environment, start: Mapping[str, Moved]) -> dict[str, str]:
    """Published rows, with the columns as they would be: SQL that can stand after FROM, by table."""
    seen = env.seen()
    found = {}
    for port, moved in start.items():
        if port not in seen:
            continue
        came = {source.lower(): column.name for column in moved.new.columns for source in column.came_from}
        parts = []
        for column in moved.old.columns:
            new = moved.new.names.get(came.get(column.name.lower(), column.name).lower())
            if new is not None:
                value = f'"{column.name}"' if new.type == column.type else f'TRY_CAST("{column.name}" AS {new.type})'
                parts.append(f'{value} AS "{new.name}"')
        if parts:
            found[port] = f"(SELECT {', '.join(parts)} FROM {env.lake.relation(port, seen[port].version)})"
    return found


def _shims(mesh: Mesh, proposed: Proposed) -> dict[str, str]:
    """For ports whose columns were removed, renamed or retyped."""
    wanted = {Kind.COLUMN_REMOVED, Kind.COLUMN_RENAMED, Kind.TYPE_WIDENED, Kind.TYPE_NARROWED, Kind.TYPE_CHANGED}
    found = {}
    for port, moved in proposed.start.items():
        table = mesh.tables.get(port)
        if table is None or table.port is None or not wanted & {change.kind for change in moved.changes}:
            continue
        successor = f"{port}_v{_major(moved) + 1}"
        text = shim(port, moved, successor)
        if text and _binds(table, text, {successor: moved.columns}, inputs=(successor,)):
            found[port] = text
    return found


def _major(moved: Moved) -> int:
    first = moved.old.version.partition(".")[0]
    return int(first) if first.isdigit() else 1


def _patches(env: Environment, proposed: Proposed, tables: Sequence[str]) -> dict[str, str]:
    now = Over({name: moved.columns for name, moved in proposed.start.items()}, proposed.columns)
    readers = Readers(mesh=env.mesh, columns=proposed.columns, now=now, found=proposed.start, cache=cache_of(env))
    with closing(readers):
        return readers.patches(tables)


def _binds(table: Table, sql: str, columns: Mapping[str, tuple[tuple[str, str], ...]], inputs: tuple[str, ...]) -> bool:
    bench = Bench()
    try:
        bench.bind(Text(sql=sql, path="", source=sql, parts={}), replace(table, inputs=inputs), columns)
    except DoesNotBind:
        return False
    finally:
        bench.close()
    return True
