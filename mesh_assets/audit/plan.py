"""Each test, answered the cheapest exact way: the plan, as plain data that can be shown before anything is read.

For tests of single rows the plan is made per data file: what its statistics prove, what is remembered of it, and what is
left to scan. What cannot be told apart by files is read as a whole.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import duckdb

from mesh_assets.audit.contents import Contents, DataFile, Found, Knowledge, Layer
from mesh_assets.audit.proofs import Keys, checked
from mesh_assets.audit.questions import Question, Types
from mesh_assets.audit.values import CannotAnswer
from mesh_assets.contract import Kind, Test

KEY_KINDS = (Kind.UNIQUE, Kind.PRIMARY_KEY, Kind.DUPLICATE_VALUES)
EXECUTOR = "1"
"""Goes into every rule's key: raise it when the same SQL comes to mean something else."""


class Rung(StrEnum):
    """How a test is answered, the cheapest first."""

    SCHEMA = "schema"  # from names and types
    STATISTICS = "statistics"  # from what the catalogue and footers say
    MEMORY = "memory"  # from what was found in the same files before
    SCAN = "scan"  # a filter that is pushed down, one branch of a statement shared with others
    SHARED = "shared scan"  # one pass for all, where reading is dear
    KEYS = "keys"  # a ladder of proofs that no two rows are equal
    QUERY = "query"  # a statement of its own
    ENGINE = "engine"  # a query of the engine on which its rows stay
    NONE = "none"  # it cannot be executed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A test of single rows: what is known of each file, and what is left to read.

    Attributes:
        rule: Its key in the memory; empty when it is not to be remembered.
        known: What is counted of each file, by path.
        proved: Of how many files the statistics say it.
        remembered: Of how many the memory says it.
        scans: Files to read, by number of their layer.
    """

    condition: str
    rule: str = ""
    known: Mapping[str, Found] = field(default_factory=dict)
    proved: int = 0
    remembered: int = 0
    scans: tuple[tuple[int, tuple[DataFile, ...]], ...] = ()

    @property
    def reads(self) -> int:
        """How many files it reads."""
        return sum(len(files) for _, files in self.scans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How one test is answered.

    Attributes:
        how: In words.
        reads: Files that it reads; None: nobody knows which, the table is read as a whole.
        rows: What it asks of single rows, if anything.
        keys: What may not repeat, if anything.
        why: The reason why it cannot be executed.
    """

    test: Test
    rung: Rung
    how: str = ""
    reads: int | None = 0
    question: Question | None = None
    rows: Rows | None = None
    keys: Keys | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All tests of a contract on one table.

    Attributes:
        contents: None: the table is read as a whole.
        ids: The content keys of each file by path, the closest one first; with deletes, the whole file's comes second.
    """

    steps: tuple[Step, ...]
    relation: str
    contents: Contents | None
    ids: Mapping[str, tuple[str, ...]]
    types: Types


def plan(
    tests: Sequence[Test],
    asked: Sequence[Question | CannotAnswer | None],
    relation: str,
    types: Types,
    known: Knowledge,
    *,
    dear: bool = False,
    lasting: Callable[[Iterable[str]], Mapping[str, tuple[str, ...]]] = lambda _: {},
) -> Plan:
    """The cheapest exact way for each test.

    Args:
        tests: Of the contract.
        asked: Each of them as SQL, or why there is none; None for those that need no such query.
        relation: The table.
        types: Of its columns.
        known: What may be used instead of reading.
        dear: Reading the table costs so much that all tests share one pass.
        lasting: Of conditions, what their answers on a file depend on besides; those that it leaves out are not remembered.
    """
    contents = known.contents
    ids = _identified(known, contents)
    conditions = [_condition(test, each, types) for test, each in zip(tests, asked, strict=True)]
    lasts = lasting(filter(None, conditions)) if known.memory else {}
    parts = [
        _part(test, each, condition, types, known, lasts) if isinstance(each, Question) and condition else None
        for test, each, condition in zip(tests, asked, conditions, strict=True)
    ]
    recalled = _recalled(known, parts, ids)
    steps = [
        _step(test, each, part and _rows(test, part, contents, types, ids, recalled), contents, types, dear=dear)
        for test, each, part in zip(tests, asked, parts, strict=True)
    ]
    steps = [_with_known_set(step, known, contents, ids) for step in steps]
    return Plan(steps=tuple(steps), relation=relation, contents=contents, ids=ids, types=types)


def key_of(*parts: str) -> str:
    """A rule's key: the same engine, the same words."""
    told = "\0".join((EXECUTOR, duckdb.__version__, *parts))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def key_columns(test: Test, types: Types) -> Keys | None:
    """What a test demands not to repeat."""
    if test.kind not in KEY_KINDS:
        return None
    return Keys(columns=test.columns, types=types, known_only=test.kind is Kind.DUPLICATE_VALUES)


def apart_rule(keys: Keys, table: str) -> str:
    """The key under which a set of files is kept, in which no key of a table repeats."""
    return key_of("apart", table, repr([(name, keys.types[name].name) for name in keys.columns]), str(keys.known_only))


def proved_of(files: Iterable[DataFile], ids: Mapping[str, tuple[str, ...]], proved: frozenset[str]) -> frozenset[str]:
    """Paths of files that are each one of those that were proved, or a part of it.

    Each of those is found again once: of two files with the same bytes, one repeats the other.
    """
    left, found = set(proved), set()
    for file in files:
        key = next((key for key in ids.get(file.path, ()) if key in left), None)
        if key is not None:
            left.discard(key)
            found.add(file.path)
    return frozenset(found)


def _with_known_set(
    step: Step, known: Knowledge, contents: Contents | None, ids: Mapping[str, tuple[str, ...]]
) -> Step:
    """A step of keys, when some files together are known to repeat none."""
    if step.keys is None or known.memory is None or contents is None:
        return step
    proved = proved_of(contents.files, ids, known.memory.recall_set(apart_rule(step.keys, contents.table)))
    fresh = [file for file in contents.files if file.path not in proved]
    if len(fresh) == len(contents.files) or (step.rows and step.rows.reads):
        return step
    if not fresh:
        return replace(step, rung=Rung.MEMORY, reads=0, how="remembered")
    how = "remembered, but for new files: they alone, and against old ones whose range meets theirs"
    return replace(step, reads=len(fresh), how=how)


def explain(plan: Plan) -> list[dict[str, object]]:
    """The plan as JSON can hold it."""
    of = len(plan.contents.files) if plan.contents else None
    return [explained(step, of) for step in plan.steps]


def explained(step: Step, of_files: int | None = None) -> dict[str, object]:
    """One step of a plan as JSON can hold it."""
    return {
        "name": step.test.name,
        "type": str(step.test.kind),
        "rung": str(step.rung),
        "reads_files": step.reads,
        "of_files": of_files,
        "how": step.why or step.how,
    }


def _identified(known: Knowledge, contents: Contents | None) -> Mapping[str, tuple[str, ...]]:
    if known.memory is None or contents is None:
        return {}
    return known.memory.identify({file.path: file.deletes for file in contents.files})


def _condition(test: Test, asked: Question | CannotAnswer | None, types: Types) -> str:
    """What a test asks of single rows; empty: nothing."""
    if not isinstance(asked, Question):
        return ""
    if test.kind is Kind.PRIMARY_KEY:
        from mesh_assets.audit.questions import fails

        return fails(replace(test, kind=Kind.REQUIRED), types)
    return asked.condition


def _part(
    test: Test, asked: Question, condition: str, types: Types, known: Knowledge, lasts: Mapping[str, tuple[str, ...]]
) -> Rows:
    """What a test asks of single rows, and the key under which its answers are kept."""
    if known.memory is None:
        return Rows(condition=condition)
    if asked.target:
        basis = _content_key(known, asked.target)
        ours = [f"{column} {types[column].name}" for column in test.columns]
        key = key_of("reference", basis, repr(ours), repr(test.arguments)) if basis else ""
        return Rows(condition=condition, rule=key)
    return Rows(condition=condition, rule=key_of(condition, *lasts[condition]) if condition in lasts else "")


def _content_key(known: Knowledge, table: str) -> str:
    """Of another table as it is read here; empty when it cannot be told."""
    contents = known.related(table) if known.memory else None
    if contents is None or known.memory is None or not contents.exact:
        return ""
    ids = known.memory.identify({file.path: file.deletes for file in contents.files})
    if any(not ids.get(file.path) for file in contents.files):
        return ""
    return key_of(*sorted(ids[file.path][0] for file in contents.files))


def _recalled(
    known: Knowledge, parts: Iterable[Rows | None], ids: Mapping[str, tuple[str, ...]]
) -> Mapping[tuple[str, str], Found]:
    rules = frozenset(part.rule for part in parts if part and part.rule)
    files = frozenset(key for keys in ids.values() for key in keys)
    return known.memory.recall(rules, files) if known.memory and rules and files else {}


def _rows(
    test: Test,
    part: Rows,
    contents: Contents | None,
    types: Types,
    ids: Mapping[str, tuple[str, ...]],
    recalled: Mapping[tuple[str, str], Found],
) -> Rows:
    if contents is None:
        return part
    asked = replace(test, kind=Kind.REQUIRED) if test.kind is Kind.PRIMARY_KEY else test
    proved = checked(asked, part.condition, types, contents.files)
    remembered: dict[str, Found] = {}
    scans = []
    for number, layer in enumerate(contents.layers):
        left = []
        for file in layer.files:
            if file.path in proved:
                continue
            found = _remembered(part.rule, ids.get(file.path, ()), recalled)
            if found is None:
                left.append(file)
            else:
                remembered[file.path] = found
        if left:
            scans.append((number, tuple(left)))
    return replace(
        part,
        known={**remembered, **{path: Found(count) for path, count in proved.items()}},
        proved=len(proved),
        remembered=len(remembered),
        scans=tuple(scans),
    )


def _remembered(rule: str, keys: Sequence[str], recalled: Mapping[tuple[str, str], Found]) -> Found | None:
    """What was counted in the file as it is; or none, when there was none before some of its rows were deleted."""
    for number, key in enumerate(keys):
        found = recalled.get((rule, key))
        if found is not None and (number == 0 or not found.failing):
            return found
    return None


def _step(
    test: Test,
    asked: Question | CannotAnswer | None,
    rows: Rows | None,
    contents: Contents | None,
    types: Types,
    *,
    dear: bool,
) -> Step:
    if isinstance(asked, CannotAnswer):
        return Step(test=test, rung=Rung.NONE, why=str(asked))
    if asked is None:
        return _without_question(test, contents)
    whole = len(contents.files) if contents else None
    if keys := key_columns(test, types):
        how = "remembered or disjoint ranges, else ascending order, a bitmap or sorting in memory, a comparison of all"
        if len(keys.columns) > 1:
            how = "remembered or disjoint ranges, else a comparison of all"
        return Step(test=test, rung=Rung.KEYS, how=how, reads=whole, question=asked, rows=rows, keys=keys)
    if rows is None:
        return Step(test=test, rung=Rung.QUERY, how="a statement of its own", reads=whole, question=asked)
    if contents is None:
        rung = Rung.SHARED if dear and asked.light else Rung.SCAN
        how = "one pass with the others" if rung is Rung.SHARED else _filter(asked)
        return Step(test=test, rung=rung, how=how, reads=None, question=asked, rows=rows)
    said = [
        f"{rows.proved} by statistics" if rows.proved else "",
        f"{rows.remembered} remembered" if rows.remembered else "",
        f"{rows.reads} by {_filter(asked)}" if rows.reads else "",
    ]
    rung = Rung.SCAN if rows.reads else Rung.MEMORY if rows.remembered else Rung.STATISTICS
    how = ", ".join(filter(None, said)) or "there are no rows"
    return Step(test=test, rung=rung, how=how, reads=rows.reads, question=asked, rows=rows)


def _without_question(test: Test, contents: Contents | None) -> Step:
    match test.kind:
        case Kind.COLUMNS | Kind.TYPES:
            return Step(test=test, rung=Rung.SCHEMA, how="names and types of the columns")
        case Kind.ROW_COUNT if contents and contents.exact:
            return Step(test=test, rung=Rung.STATISTICS, how="rows of each file, by the catalogue")
        case Kind.ROW_COUNT:
            return Step(test=test, rung=Rung.SCAN, how="a count", reads=len(contents.files) if contents else None)
    return Step(test=test, rung=Rung.QUERY, how="its own statement", reads=len(contents.files) if contents else None)


def _filter(asked: Question) -> str:
    return "a look at the values it refers to" if asked.target else "a filter"


def layers_of(contents: Contents, paths: Iterable[str]) -> list[tuple[Layer, tuple[str, ...]]]:
    """The layers that hold these files, each with those of them that it holds."""
    wanted = set(paths)
    found = [(layer, tuple(file.path for file in layer.files if file.path in wanted)) for layer in contents.layers]
    return [(layer, held) for layer, held in found if held]
