"""Two shapes of a port to the changes between them, and what each means under a port's `compatibility`.

The meaning is that of tables. Backward: rows written under the new shape, read by SQL that was right under the old one.
Forward: rows written under the old shape, read by SQL that is right under the new one.
"""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType

from mesh_assets.changes.formats import includes
from mesh_assets.changes.shape import Bound, ColumnShape, Rule, Shape
from mesh_assets.changes.widths import Width, width
from mesh_assets.contract import Kind as Asks


class Kind(StrEnum):
    """What has become of a port."""

    COLUMN_ADDED = "column_added"
    REQUIRED_COLUMN_ADDED = "required_column_added"
    COLUMN_REMOVED = "column_removed"
    COLUMN_RENAMED = "column_renamed"
    COLUMN_SPLIT = "column_split"
    COLUMN_MERGED = "column_merged"
    COLUMNS_REORDERED = "columns_reordered"
    TYPE_WIDENED = "type_widened"
    TYPE_NARROWED = "type_narrowed"
    TYPE_CHANGED = "type_changed"
    NULL_ALLOWED = "null_allowed"
    NULL_FORBIDDEN = "null_forbidden"
    NULL_MEANING_CHANGED = "null_meaning_changed"
    KEY_CHANGED = "key_changed"
    GRAIN_CHANGED = "grain_changed"
    UNIT_CHANGED = "unit_changed"
    FORMAT_CHANGED = "format_changed"
    FORMAT_ADDED = "format_added"
    FORMAT_REMOVED = "format_removed"
    FORMAT_LOOSENED = "format_loosened"
    FORMAT_TIGHTENED = "format_tightened"
    VALUES_ADDED = "values_added"
    VALUES_REMOVED = "values_removed"
    RANGE_WIDENED = "range_widened"
    RANGE_NARROWED = "range_narrowed"
    RULE_ADDED = "rule_added"
    RULE_REMOVED = "rule_removed"
    RULE_LOOSENED = "rule_loosened"
    RULE_TIGHTENED = "rule_tightened"
    PARTITIONING_CHANGED = "partitioning_changed"
    SERVICE_LEVEL_CHANGED = "service_level_changed"
    DESCRIBED = "described"


class Effect(StrEnum):
    """What a change means."""

    COMPATIBLE = "compatible"
    BREAKING = "breaking"


class Step(StrEnum):
    """Of a contract's version."""

    NONE = "none"
    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"


STEPS = tuple(Step)
MODES = (
    "none", "backward", "forward", "full", "backward_transitive", "forward_transitive", "full_transitive",
)  # fmt: skip
"""As `compatibility:` of an output port. The transitive ones judge against every version that is served, not the last alone."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a kind of change means in each direction, and why.

    Attributes:
        step: The version step that it needs where it is compatible.
        decided: How it is known whether a reader that uses the column is hit: `binding` (its code can no longer be bound),
            `values` (its own tests, on rows under the new shape), `use` (no test can see it: using it is enough).
    """

    backward: Effect
    why_backward: str
    forward: Effect
    why_forward: str
    step: Step
    decided: str


_OK, _BREAKS = Effect.COMPATIBLE, Effect.BREAKING
MEANINGS: Mapping[Kind, Meaning] = {
    Kind.COLUMN_ADDED: Meaning(
        _OK, "old SQL does not name it", _OK, "old rows are read with null in it, which is allowed", Step.MINOR, "binding"
    ),
    Kind.REQUIRED_COLUMN_ADDED: Meaning(
        _OK, "old SQL does not name it", _BREAKS, "old rows have no value for it, and new SQL relies on one", Step.MINOR, "binding"
    ),
    Kind.COLUMN_REMOVED: Meaning(
        _BREAKS, "old SQL may name it", _OK, "new SQL does not name it", Step.MINOR, "binding"
    ),
    Kind.COLUMN_RENAMED: Meaning(
        _BREAKS, "old SQL may use the old name", _BREAKS, "old rows do not have the new name", Step.MINOR, "binding"
    ),
    Kind.COLUMN_SPLIT: Meaning(
        _BREAKS, "old SQL may name the whole", _BREAKS, "old rows do not have the parts", Step.MINOR, "binding"
    ),
    Kind.COLUMN_MERGED: Meaning(
        _BREAKS, "old SQL may name the parts", _BREAKS, "old rows do not have the whole", Step.MINOR, "binding"
    ),
    Kind.COLUMNS_REORDERED: Meaning(
        _BREAKS, "old SQL may take columns by their place: an alias `t(a, b)`, a union, `in (select * …)`", _OK,
        "no order is promised, and new SQL that takes one is not there to be asked", Step.PATCH, "use",
    ),
    Kind.TYPE_WIDENED: Meaning(
        _OK, "what is defined on the narrower type is defined on the wider one", _BREAKS,
        "SQL that is right on the wider type may overflow or lose digits on the narrower one", Step.MINOR, "values",
    ),
    Kind.TYPE_NARROWED: Meaning(
        _BREAKS, "SQL that was right on the wider type may overflow or lose digits on the narrower one", _OK,
        "what is defined on the narrower type is defined on the wider one", Step.MINOR, "values",
    ),
    Kind.TYPE_CHANGED: Meaning(
        _BREAKS, "old SQL may not bind, or compare and sort otherwise", _BREAKS, "the same, the other way round", Step.MINOR, "use"
    ),
    Kind.NULL_ALLOWED: Meaning(
        _BREAKS, "old SQL relies on a value: joins lose rows, sums become null", _OK, "old rows have a value", Step.MINOR, "values"
    ),
    Kind.NULL_FORBIDDEN: Meaning(
        _OK, "a value is what old SQL allows, too", _BREAKS, "old rows may have none", Step.MINOR, "values"
    ),
    Kind.NULL_MEANING_CHANGED: Meaning(
        _BREAKS, "old SQL takes null for what it meant", _BREAKS, "old rows mean what null meant", Step.MINOR, "use"
    ),
    Kind.KEY_CHANGED: Meaning(
        _BREAKS, "old SQL joins and counts by the old key", _BREAKS, "old rows are not unique by the new key", Step.MINOR, "use"
    ),
    Kind.GRAIN_CHANGED: Meaning(
        _BREAKS, "a row is another thing: counts and sums of old SQL are wrong", _BREAKS, "the same, the other way round", Step.MINOR, "use"
    ),
    Kind.UNIT_CHANGED: Meaning(
        _BREAKS, "numbers mean something else, and no test sees it", _BREAKS, "the same, the other way round", Step.MINOR, "use"
    ),
    Kind.FORMAT_CHANGED: Meaning(
        _BREAKS, "old SQL takes the text apart, or joins on it", _BREAKS, "old rows are of the old format", Step.MINOR, "use"
    ),
    Kind.FORMAT_ADDED: Meaning(
        _OK, "old SQL works on any text", _BREAKS, "old rows need not be of the format", Step.MINOR, "values"
    ),
    Kind.FORMAT_REMOVED: Meaning(
        _BREAKS, "old SQL may rely on the format", _OK, "old rows are of the format, which nobody needs now", Step.MINOR, "values"
    ),
    Kind.FORMAT_LOOSENED: Meaning(
        _BREAKS, "old SQL may rely on the tighter format", _OK, "old rows are of the looser format, too", Step.MINOR, "values"
    ),
    Kind.FORMAT_TIGHTENED: Meaning(
        _OK, "new rows are of the looser format, too", _BREAKS, "old rows need not be of the tighter format", Step.MINOR, "values"
    ),
    Kind.VALUES_ADDED: Meaning(
        _BREAKS, "old SQL may know the old values only: a `case` without the new one, a join with a list", _OK,
        "old rows have values that are still allowed", Step.MINOR, "values",
    ),
    Kind.VALUES_REMOVED: Meaning(
        _OK, "the values that are left are known to old SQL", _BREAKS, "old rows may have the value that is gone", Step.MINOR, "values"
    ),
    Kind.RANGE_WIDENED: Meaning(
        _BREAKS, "old SQL may rely on the limit", _OK, "old rows are within the new limits", Step.MINOR, "values"
    ),
    Kind.RANGE_NARROWED: Meaning(
        _OK, "new rows are within the old limits", _BREAKS, "old rows may be outside of the new ones", Step.MINOR, "values"
    ),
    Kind.RULE_ADDED: Meaning(
        _OK, "old SQL does not rely on it", _BREAKS, "old rows need not keep it", Step.MINOR, "values"
    ),
    Kind.RULE_REMOVED: Meaning(
        _BREAKS, "old SQL may rely on it", _OK, "new SQL does not rely on it", Step.MINOR, "values"
    ),
    Kind.RULE_LOOSENED: Meaning(
        _BREAKS, "old SQL may rely on the tighter rule", _OK, "old rows keep the looser rule, too", Step.MINOR, "values"
    ),
    Kind.RULE_TIGHTENED: Meaning(
        _OK, "new rows keep the looser rule, too", _BREAKS, "old rows need not keep the tighter rule", Step.MINOR, "values"
    ),
    Kind.PARTITIONING_CHANGED: Meaning(
        _OK, "SQL sees rows, not how they are cut", _OK, "SQL sees rows, not how they are cut", Step.MINOR, "use"
    ),
    Kind.SERVICE_LEVEL_CHANGED: Meaning(
        _OK, "it is about when rows come, not about what they are", _OK, "it is about when rows come, not about what they are",
        Step.MINOR, "use",
    ),
    Kind.DESCRIBED: Meaning(
        _OK, "words alone: descriptions, rules that only warn, what was true before and is now said", _OK, "the same", Step.PATCH, "use"
    ),
}  # fmt: skip
"""Every kind of change, as data: docs/reference/changes.md is this table."""
INVERSE = {
    Kind.COLUMN_RENAMED: Kind.COLUMN_RENAMED,
    Kind.COLUMN_SPLIT: Kind.COLUMN_MERGED,
    Kind.TYPE_WIDENED: Kind.TYPE_NARROWED,
    Kind.TYPE_CHANGED: Kind.TYPE_CHANGED,
    Kind.NULL_ALLOWED: Kind.NULL_FORBIDDEN,
    Kind.NULL_MEANING_CHANGED: Kind.NULL_MEANING_CHANGED,
    Kind.KEY_CHANGED: Kind.KEY_CHANGED,
    Kind.GRAIN_CHANGED: Kind.GRAIN_CHANGED,
    Kind.UNIT_CHANGED: Kind.UNIT_CHANGED,
    Kind.FORMAT_CHANGED: Kind.FORMAT_CHANGED,
    Kind.FORMAT_ADDED: Kind.FORMAT_REMOVED,
    Kind.FORMAT_LOOSENED: Kind.FORMAT_TIGHTENED,
    Kind.VALUES_ADDED: Kind.VALUES_REMOVED,
    Kind.RANGE_WIDENED: Kind.RANGE_NARROWED,
    Kind.RULE_ADDED: Kind.RULE_REMOVED,
    Kind.RULE_LOOSENED: Kind.RULE_TIGHTENED,
    Kind.PARTITIONING_CHANGED: Kind.PARTITIONING_CHANGED,
    Kind.SERVICE_LEVEL_CHANGED: Kind.SERVICE_LEVEL_CHANGED,
}
"""What a change is when it is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two shapes of a port.

    Attributes:
        port: `domain.table`.
        columns: The columns that are concerned, by their old names (new ones where there was none); empty: every row is.
        before, after: What it was and what it is, in words.
        name: Of the rule, where it is about one.
        asks: What kind of test that rule is.
    """

    port: str
    kind: Kind
    columns: tuple[str, ...] = ()
    before: str = ""
    after: str = ""
    name: str = ""
    asks: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """The same for the same change, wherever and whenever it is found."""
        told = json.dumps([self.port, self.kind, self.columns, self.before, self.after, self.name])
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def column(self) -> str:
        """The first column that it is about; empty when it is about the whole table."""
        return self.columns[0] if self.columns else ""

    def effect(self, mode: str) -> Effect:
        """What it means under a port's `compatibility`."""
        return effect(self.kind, mode)

    def step(self, mode: str) -> Step:
        """The step of the contract's version that it needs under a port's `compatibility`."""
        return Step.MAJOR if self.effect(mode) is Effect.BREAKING else MEANINGS[self.kind].step


def effect(kind: Kind, mode: str) -> Effect:
    """What a kind of change means under a `compatibility`; the transitive modes differ in what is compared, not in this."""
    meaning, direction = MEANINGS[kind], mode.removesuffix("_transitive")
    asked = {"none": (), "backward": (meaning.backward,), "forward": (meaning.forward,)}
    found = asked.get(direction, (meaning.backward, meaning.forward))
    return Effect.BREAKING if Effect.BREAKING in found else Effect.COMPATIBLE


def changes(
    port: str, old: Shape, new: Shape, successors: Mapping[str, str] = MappingProxyType({})
) -> tuple[Change, ...]:
    """What has changed between two shapes of a port: columns in the order of the old shape, then the table.

    A renamed, split or merged column is one only where the new contract says so (`cameFrom`); else it is one column removed
    and another added.

    Args:
        successors: What to read instead of a deprecated port: a rule that refers to the one refers to the other as well.
    """
    found = list(_columns(port, old, new))
    moved = {name.lower() for change in found for name in change.columns if change.kind in _REPLACED}
    gone = {name.lower() for change in found for name in change.columns if change.kind is Kind.COLUMN_REMOVED} | moved
    found += _table(port, _followed(old, successors), _followed(new, successors), frozenset(gone))
    return tuple(dict.fromkeys(found))


def against(
    port: str, served: Iterable[Shape], new: Shape, mode: str, successors: Mapping[str, str] = MappingProxyType({})
) -> tuple[Change, ...]:
    """The changes that a mode asks about: against the last of the served shapes (oldest first), or against all of them."""
    shapes = list(served)
    if not mode.endswith("_transitive"):
        shapes = shapes[-1:]
    return tuple(dict.fromkeys(change for old in reversed(shapes) for change in changes(port, old, new, successors)))


def needed(found: Iterable[Change], mode: str) -> Step:
    """The largest step that one of the changes needs."""
    return max((change.step(mode) for change in found), key=STEPS.index, default=Step.NONE)


def declared(old: str, new: str) -> Step:
    """The step from one contract's version to the next; backwards, or no version at all, is no step."""
    before, after = _version(old), _version(new)
    if before is None or after is None or after <= before:
        return Step.NONE
    return next(step for step, at in ((Step.MAJOR, 0), (Step.MINOR, 1), (Step.PATCH, 2)) if after[at] != before[at])


def event_id(port: str, old: Shape, new: Shape) -> str:
    """Of the change as a whole: port, what it was, what it is."""
    order = f":{','.join(new.names)}" if old.hash == new.hash else ""  # of which alone no hash tells
    return hashlib.sha256(f"{port}:{old.hash}:{new.hash}{order}".encode()).hexdigest()[:12]


def bound_is_wider(old: Bound | None, new: Bound | None, *, low: bool) -> bool:
    """Whether the new limit lets something through that the old one did not."""
    if old is None or old == new:
        return False
    if new is None:
        return True
    before, after = _number(old[0]), _number(new[0])
    if before is None or after is None or before == after:
        # Dates are compared as text; equal limits differ in whether the limit itself is in.
        if old[0] == new[0] or (before is not None and before == after):
            return old[1] and not new[1]
        return new[0] < old[0] if low else new[0] > old[0]
    return after < before if low else after > before


_REPLACED = (Kind.COLUMN_RENAMED, Kind.COLUMN_SPLIT, Kind.COLUMN_MERGED)


def _version(text: str) -> tuple[int, int, int] | None:
    parts = text.strip().removeprefix("v").partition("-")[0].partition("+")[0].split(".")
    if not parts or not all(part.isdigit() for part in parts):
        return None
    numbers = [*map(int, parts), 0, 0]
    return numbers[0], numbers[1], numbers[2]


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _columns(port: str, old: Shape, new: Shape) -> Iterator[Change]:
    gone = {name for name in old.names if name not in new.names}
    fresh = [column for column in new.columns if column.name.lower() not in old.names]
    replaced = yield from _moved(port, old, gone, fresh)
    for name, before in old.names.items():
        if name in new.names:
            yield from _column(port, before, new.names[name])
        elif name not in replaced:
            yield Change(port=port, kind=Kind.COLUMN_REMOVED, columns=(before.name,), before=before.type)
    for column in fresh:
        if not {name.lower() for name in column.came_from} & replaced:
            kind = Kind.COLUMN_ADDED if column.nullable else Kind.REQUIRED_COLUMN_ADDED
            yield Change(port=port, kind=kind, columns=(column.name,), after=column.type)


def _moved(port: str, old: Shape, gone: set[str], fresh: Iterable[ColumnShape]) -> Generator[Change, None, set[str]]:
    """Columns that the new contract says to come from old ones; returns the old columns that are told."""
    heirs: dict[str, list[ColumnShape]] = {}
    for column in fresh:
        for name in column.came_from:
            if name.lower() in gone:
                heirs.setdefault(name.lower(), []).append(column)
    told: set[str] = set()
    for name, columns in heirs.items():
        if name in told:
            continue
        sources = [source for source in columns[0].came_from if source.lower() in gone]
        if len(columns) > 1:
            after = ", ".join(column.name for column in columns)
            yield Change(
                port=port,
                kind=Kind.COLUMN_SPLIT,
                columns=(old.names[name].name,),
                before=old.names[name].name,
                after=after,
            )
            told.add(name)
        elif len(sources) > 1:
            names = tuple(old.names[source.lower()].name for source in sources)
            yield Change(
                port=port, kind=Kind.COLUMN_MERGED, columns=names, before=", ".join(names), after=columns[0].name
            )
            told |= {source.lower() for source in sources}
        else:
            before = old.names[name]
            yield Change(
                port=port, kind=Kind.COLUMN_RENAMED, columns=(before.name,), before=before.name, after=columns[0].name
            )
            yield from _column(port, before, columns[0])
            told.add(name)
    return told


def _column(port: str, old: ColumnShape, new: ColumnShape) -> Iterator[Change]:
    def change(kind: Kind, before: object = "", after: object = "") -> Change:
        return Change(port=port, kind=kind, columns=(old.name,), before=str(before), after=str(after))

    match width(old.type, new.type):
        case Width.WIDENED:
            yield change(Kind.TYPE_WIDENED, old.type, new.type)
        case Width.NARROWED:
            yield change(Kind.TYPE_NARROWED, old.type, new.type)
        case Width.OTHER:
            yield change(Kind.TYPE_CHANGED, old.type, new.type)
    if old.nullable != new.nullable:
        kind = Kind.NULL_ALLOWED if new.nullable else Kind.NULL_FORBIDDEN
        yield change(kind, _null(old), _null(new))
    yield from _said(change, Kind.UNIT_CHANGED, old.unit, new.unit)
    yield from _said(change, Kind.NULL_MEANING_CHANGED, old.null_meaning, new.null_meaning)
    if old.format != new.format:
        yield change(_format(old.format, new.format), old.format, new.format)
    yield from _values(change, old.allowed, new.allowed)
    limits = (_limits(old), _limits(new))
    wider = bound_is_wider(old.minimum, new.minimum, low=True) or bound_is_wider(old.maximum, new.maximum, low=False)
    narrower = bound_is_wider(new.minimum, old.minimum, low=True) or bound_is_wider(new.maximum, old.maximum, low=False)
    if wider:
        yield change(Kind.RANGE_WIDENED, *limits)
    if narrower:
        yield change(Kind.RANGE_NARROWED, *limits)
    if old.description != new.description or old.promised != new.promised:
        yield change(Kind.DESCRIBED, old.description, new.description)


def _format(old: str, new: str) -> Kind:
    """What has become of a format: whether one lets everything through that the other does is proven, or nothing is said of it."""
    if not old or not new:
        return Kind.FORMAT_ADDED if new else Kind.FORMAT_REMOVED
    looser, tighter = includes(new, old), includes(old, new)
    if looser:
        return Kind.DESCRIBED if tighter else Kind.FORMAT_LOOSENED
    return Kind.FORMAT_TIGHTENED if tighter else Kind.FORMAT_CHANGED


def _said(change, kind: Kind, old: str, new: str) -> Iterator[Change]:  # noqa: ANN001 - a closure of `_column`
    """What is said for the first time was true before; what is said otherwise, or no longer, is another thing."""
    if old != new:
        yield change(kind if old else Kind.DESCRIBED, old, new)


def _values(change, old: tuple[str, ...] | None, new: tuple[str, ...] | None) -> Iterator[Change]:  # noqa: ANN001 - as above
    if old == new:
        return
    if old is None or new is None:
        any_, listed = "any value", ", ".join(old or new or ())
        yield change(Kind.VALUES_ADDED, listed, any_) if new is None else change(Kind.VALUES_REMOVED, any_, listed)
        return
    if more := sorted(set(new) - set(old)):
        yield change(Kind.VALUES_ADDED, "", ", ".join(more))
    if fewer := sorted(set(old) - set(new)):
        yield change(Kind.VALUES_REMOVED, ", ".join(fewer), "")


def _null(column: ColumnShape) -> str:
    return "may be null" if column.nullable else "never null"


def _limits(column: ColumnShape) -> str:
    low = f"{'above' if column.minimum[1] else 'from'} {column.minimum[0]}" if column.minimum else ""
    high = f"{'below' if column.maximum[1] else 'to'} {column.maximum[0]}" if column.maximum else ""
    return " ".join(filter(None, (low, high))) or "any"


def _table(port: str, old: Shape, new: Shape, gone: frozenset[str]) -> Iterator[Change]:
    def change(
        kind: Kind, before: object = "", after: object = "", *, name: str = "", rule: Rule | None = None
    ) -> Change:
        columns, asks = (rule.columns, rule.kind) if rule else ((), "")
        return Change(port=port, kind=kind, columns=columns, before=str(before), after=str(after), name=name, asks=asks)

    if [name.lower() for name in old.key] != [name.lower() for name in new.key] and not _only_renamed(old, new):
        # A key that is said for the first time was no part of the promise: it is a rule more.
        kind = Kind.KEY_CHANGED if old.key else Kind.RULE_ADDED
        yield change(kind, ", ".join(old.key), ", ".join(new.key), name="" if old.key else "primary_key")
    if old.grain != new.grain:
        yield change(Kind.GRAIN_CHANGED if old.grain else Kind.DESCRIBED, old.grain, new.grain)
    if old.partitions != new.partitions:
        yield change(Kind.PARTITIONING_CHANGED, old.partitions, new.partitions)
    if order := _reordered(old, new):
        yield change(Kind.COLUMNS_REORDERED, *map(", ".join, order))
    yield from _rules(change, old, new, gone)
    if old.service_levels != new.service_levels:
        yield change(Kind.SERVICE_LEVEL_CHANGED, "; ".join(old.service_levels), "; ".join(new.service_levels))
    if old.description != new.description or old.warnings != new.warnings:
        yield change(Kind.DESCRIBED, old.description, new.description)


def _followed(shape: Shape, successors: Mapping[str, str]) -> Shape:
    """A shape whose rules refer to what is to be read now."""
    if not successors:
        return shape
    rules, warnings = (tuple(_last(rule, successors) for rule in some) for some in (shape.rules, shape.warnings))
    return replace(shape, rules=rules, warnings=warnings)


def _last(rule: Rule, successors: Mapping[str, str]) -> Rule:
    told = json.loads(rule.arguments) if rule.kind == Asks.REFERENCE else {}
    table = successors.get(str(told.get("to_table")))
    return replace(rule, arguments=json.dumps(told | {"to_table": table}, sort_keys=True)) if table else rule


def _reordered(old: Shape, new: Shape) -> tuple[list[str], list[str]] | None:
    """The columns that are in both, by their names now, as they stood and as they stand; None where that is the same."""
    came = {column.came_from[0].lower(): column.name for column in new.columns if len(column.came_from) == 1}
    stay = {column.name.lower(): column.name for column in new.columns}
    were = [stay.get(name) or came.get(name) for name in old.names]
    before = [name for name in were if name]
    after = [column.name for column in new.columns if column.name in set(before)]
    return (before, after) if before != after and len(before) == len(after) else None


def _only_renamed(old: Shape, new: Shape) -> bool:
    """Whether the key is the same, under the new names of its columns."""
    came = {column.name.lower(): column.came_from[0].lower() for column in new.columns if len(column.came_from) == 1}
    return [came.get(name.lower(), name.lower()) for name in new.key] == [name.lower() for name in old.key]


def _rules(change, old: Shape, new: Shape, gone: frozenset[str]) -> Iterator[Change]:  # noqa: ANN001 - a closure of `_table`
    before, after = {rule.name: rule for rule in old.rules}, {rule.name: rule for rule in new.rules}
    meant = {_meant(rule): rule for rule in new.rules}
    had = {_meant(rule) for rule in old.rules}
    for name, rule in before.items():
        now = after.get(name)
        if now is None and _meant(rule) in meant:
            continue  # renamed
        if now is None or (now.kind, now.columns) != (rule.kind, rule.columns):
            if rule.columns and all(column.lower() in gone for column in rule.columns):
                continue  # it went with its column, which is told
            yield change(Kind.RULE_REMOVED, rule.arguments, "", name=name, rule=rule)
            if now is not None:
                yield change(Kind.RULE_ADDED, "", now.arguments, name=name, rule=now)
        elif now.arguments != rule.arguments:
            kind = Kind.RULE_TIGHTENED if _is_tighter(rule, now) else Kind.RULE_LOOSENED
            yield change(kind, rule.arguments, now.arguments, name=name, rule=rule)
    for name, rule in after.items():
        if name not in before and _meant(rule) not in had:
            yield change(Kind.RULE_ADDED, "", rule.arguments, name=name, rule=rule)


def _meant(rule: Rule) -> tuple[str, tuple[str, ...], str]:
    return rule.kind, rule.columns, rule.arguments


_UPPER = {"mustBeLessThan", "mustBeLessOrEqualTo"}
_LOWER = {"mustBeGreaterThan", "mustBeGreaterOrEqualTo"}


def _is_tighter(old: Rule, new: Rule) -> bool:
    """Whether every table that keeps the new rule keeps the old one; what cannot be told is no."""
    before, after = json.loads(old.arguments), json.loads(new.arguments)
    if old.kind in ("min_length", "max_length"):
        low = old.kind == "min_length"
        return (after["value"] > before["value"]) if low else (after["value"] < before["value"])
    rest = [{k: v for k, v in told.items() if k not in ("operator", "threshold")} for told in (before, after)]
    if rest[0] != rest[1] or "operator" not in before or "operator" not in after:
        return False
    inner, outer = _interval(after), _interval(before)
    return inner is not None and outer is not None and outer[0] <= inner[0] and inner[1] <= outer[1]


def _interval(told: Mapping[str, object]) -> tuple[tuple[float, int], tuple[float, int]] | None:
    """What a metric may be, as (low, 1 when low is excluded) and (high, -1 when high is excluded)."""
    operator, threshold = told["operator"], told["threshold"]
    ends = [float("-inf"), float("inf")]
    if operator == "mustBeBetween" and isinstance(threshold, list):
        return (threshold[0], 0), (threshold[1], 0)
    if not isinstance(threshold, int | float):
        return None
    if operator == "mustBe":
        return (threshold, 0), (threshold, 0)
    if operator in _UPPER:
        return (ends[0], 0), (threshold, -1 if operator == "mustBeLessThan" else 0)
    if operator in _LOWER:
        return (threshold, 1 if operator == "mustBeGreaterThan" else 0), (ends[1], 0)
    return None
