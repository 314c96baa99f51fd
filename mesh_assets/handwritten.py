"""What can be changed without code of rules that have no form of their kind; of the rest, where it stands in its file.

These are metrics and queries that somebody wrote by hand, and what columns say in their own keys: `required`, `pattern`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_assets import authoring
from mesh_assets.authoring import Edit, Written, changed, comment_follows, ends_with_comment, owner_of
from mesh_assets.contract import Kind, Test
from mesh_assets.domain import Mesh, Table
from mesh_assets.errors import UsageError, nearest
from mesh_assets.offered import recognised
from mesh_assets.reading.quality import METRICS, OLD_RULES, OPERATORS
from mesh_assets.reading.testwords import KEY_KIND, OPTIONS

DEMANDS: Mapping[str, str] = {
    "mustBe": "be exactly", "mustNotBe": "not be", "mustBeGreaterThan": "be more than",
    "mustBeGreaterOrEqualTo": "be at least", "mustBeLessThan": "be less than", "mustBeLessOrEqualTo": "be at most",
    "mustBeBetween": "be between, both included", "mustNotBeBetween": "not be between",
}  # fmt: skip
"""Each operator of the standard, in words."""
PAIRS = frozenset({"mustBeBetween", "mustNotBeBetween"})
TEXTS = frozenset({"pattern", "format"})
KEYS: Mapping[Kind, str] = {
    Kind.REQUIRED: "required", Kind.UNIQUE: "unique", Kind.PRIMARY_KEY: "primaryKey", Kind.REFERENCE: "relationships",
    **{kind: key for key, kind in OPTIONS.items()},
}  # fmt: skip
"""Under which key a column says what is tested."""
FLAGS = frozenset({Kind.REQUIRED, Kind.UNIQUE})
UNSAID = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """One rule as it stands, and what of it can be changed.

    Attributes:
        column: Empty for a rule of the table.
        key: Under which its column says it; empty for a rule under `quality:`.
        label: Of what sort it is.
        said: What it says, as it is written: a query, a metric with its arguments, a value.
        operator: One of `DEMANDS`; empty where no number is demanded.
        unit: `rows` or `percent`, where it can be either; else empty.
        asks: What can be changed: `operator` (with its number), `value`, `severity`, `why`, `remove`.
        elsewhere: What cannot, and where it stands; empty: everything can.
        where: `file:line`.
        off: It is kept, and not executed.
    """

    name: str
    column: str
    key: str = ""
    label: str
    said: str
    operator: str = ""
    value: Any = None
    unit: str = ""
    severity: str
    why: str = ""
    asks: frozenset[str]
    elsewhere: str
    where: str
    off: bool = False


def of_rule(written: Written) -> ByHand | None:
    """A rule under `quality:`; None for one that has a form of its kind."""
    rule, where = written.rule, f"{written.where.path}:{written.where.line}"
    if recognised(rule) is not None:
        return None
    operator = next((key for key in rule if key in DEMANDS), "")
    metric = rule.get("metric") or OLD_RULES.get(str(rule.get("rule")), "")
    asks, elsewhere, unit = {"severity", "why"}, "", ""
    if "query" in rule:
        label, said = "A query of its own", str(rule["query"]).strip()
        asks |= {"operator"}
        elsewhere = f"The query is changed in {where}."
    elif metric in METRICS:
        label = f"How many: {metric}"
        said = str(dict(rule.get("arguments") or {}) or metric)
        asks |= {"operator"}
        unit = "" if METRICS[metric] is Kind.ROW_COUNT else str(rule.get("unit") or "rows")
        elsewhere = f"What is counted is changed in {where}."
        operator = operator or "mustBe"
    else:  # `type: text`, and what another engine executes
        label = "Words for people" if rule.get("type") == "text" else "A rule that is not executed here"
        said = str(rule.get("description") or "")
        asks, elsewhere = {"why"}, f"Everything else is changed in {where}."
    return ByHand(
        name=written.name, column=written.column, label=label, said=said, operator=operator if "operator" in asks else "",
        value=rule.get(operator, 0) if operator else None, unit=unit, severity=str(rule.get("severity") or "error"),
        why=str(rule.get("description") or ""), asks=frozenset({*asks, "remove"}), elsewhere=elsewhere, where=where,
        off=written.off,
    )  # fmt: skip


def of_columns(mesh: Mesh, table: Table) -> tuple[ByHand, ...]:
    """What the columns of a contract, and what stands beside it, say without a rule; in the order of its tests."""
    if table.contract is None:
        return ()
    ruled = {one.name for one in authoring.written(mesh, table)}
    own = table.contract.where.path
    return tuple(_said(test, own) for test in table.contract.tests if test.name not in ruled)


def find(mesh: Mesh, table: Table, name: str) -> ByHand:
    """One of both sorts.

    Raises:
        UsageError: There is none, or it has a form of its kind.
    """
    rules = {one.name: one for one in authoring.written(mesh, table)}
    if name in rules:
        if found := of_rule(rules[name]):
            return found
        raise UsageError(f"`{name}` is of a kind that has a form of its own\n    Change it in that.")
    said = {one.name: one for one in of_columns(mesh, table)}
    if name not in said:
        raise UsageError(f"{table.name.replace('.', '/')} has no test `{name}`\n    {nearest(name, [*rules, *said])}")
    return said[name]


def alter(
    mesh: Mesh,
    table: Table,
    one: ByHand,
    *,
    operator: str = "",
    value: Any = UNSAID,  # noqa: ANN401 - of YAML
    unit: str = "",
    severity: str = "",
    why: str | None = None,
) -> Edit:
    """The contract with the rule changed; what is not said stays as it is.

    Raises:
        UsageError: That cannot be changed, or nothing would be.
        ConfigError: The contract would not be one any more.
    """
    if one.key:
        _may(one, value=value is not UNSAID, severity=severity not in ("", one.severity))
        if one.key == "enum" and value is not UNSAID:
            if not isinstance(value, list | tuple) or not value:
                raise UsageError(f"`{one.name}` lists values, and `{value}` is no list\n    Write them all: [A, B]")
            value = tuple(value)
        edit = _say(mesh, table, one, value=one.value if value is UNSAID else value, severity=severity or one.severity)
    else:
        changes: dict[str, Any] = {}
        demanded = operator or one.operator
        if "operator" in one.asks and value is not UNSAID and (demanded, value) != (one.operator, one.value):
            changes |= {key: None for key in OPERATORS if key != demanded} | {demanded: value}
        if one.unit and unit and unit != one.unit:
            changes["unit"] = unit if unit == "percent" else None
        if "severity" in one.asks and severity and severity != one.severity:
            changes["severity"] = severity
        if why is not None and why != one.why:
            changes["description"] = why or None
        edit = authoring.edit(mesh, table, one.name, changes)
    if edit.before == edit.after:
        raise UsageError(f"`{one.name}` says that already\n    Nothing was changed.")
    return edit


def take_out(mesh: Mesh, table: Table, name: str) -> Edit:
    """The contract without a rule, or without what a column says.

    Raises:
        UsageError: There is none, or it can only be taken out by hand.
    """
    one = next((each for each in of_columns(mesh, table) if each.name == name), None)
    if one is None:
        return authoring.remove(mesh, table, name)
    _may(one, remove=True)
    key, said = one.key, one

    def change(schema: Any) -> None:  # noqa: ANN401 - ruamel's
        column = owner_of(schema, said.column, table)
        holder = column["logicalTypeOptions"] if key in OPTIONS else column
        alone = holder is not column and len(holder) == 1
        for owner, word in ((holder, key), *([(column, "logicalTypeOptions")] if alone else [])):
            if comment_follows(owner, word):  # it stands above what comes next
                mend = f"Take it out by hand, or move the comment: {said.where}"
                raise UsageError(f"a comment stands below `{word}`\n    {mend}")
        holder.pop(key)
        if alone:
            column.pop("logicalTypeOptions")
        _drop(column, {f"{about}.{word}" for about in ("severity", "action") for word in _spelt(key)})

    return changed(mesh, table, change)


def of_key(mesh: Mesh, table: Table, name: str, changes: Mapping[str, Any]) -> Edit | None:
    """A change of what a column says, given by the words `value` and `severity`; None when it is no column that says it.

    Raises:
        UsageError: Something else is to be changed, or it cannot be.
    """
    one = next((each for each in of_columns(mesh, table) if each.name == name), None)
    if one is None:
        return None
    if unknown := [key for key in changes if key not in ("value", "severity")]:
        mend = f"Set `value` or `severity`; a description needs a rule of its own. It stands in {one.where}."
        raise UsageError(f"`{name}` is said by a column, and has no `{unknown[0]}`\n    {mend}")
    return alter(
        mesh, table, one, value=changes.get("value", UNSAID), severity=str(changes.get("severity") or "")
    )  # fmt: skip


def _said(test: Test, own: str) -> ByHand:
    where = f"{test.where.path}:{test.where.line}" if test.where.path else own
    enum = test.kind is Kind.INVALID_VALUES and test.name.endswith("__enum")
    key = "enum" if enum else KEYS.get(test.kind, "")
    arguments = test.arguments
    value = arguments.get("pattern", arguments.get("format", arguments.get("value")))
    asks: set[str] = set()
    if test.where.path != own:
        label, elsewhere = "Beside the contract", f"It is written in {where}, and changed there."
    elif test.kind in (Kind.COLUMNS, Kind.TYPES):
        label, elsewhere = "The columns", f"It follows from the columns: {where}."
    elif test.kind in FLAGS:
        label, elsewhere = f"The column says `{key}`", ""
        asks, value = {"severity", "remove"}, True
    elif test.kind in OPTIONS.values():
        label, elsewhere, asks = f"The column says `{key}`", "", {"value", "severity", "remove"}
    elif enum:
        label, elsewhere, asks = "The column lists its values", "", {"value", "severity", "remove"}
        value = tuple(arguments.get("valid_values", ()))  # ty: ignore
    else:  # the key of the table, references
        label, elsewhere = f"Said by `{key}`" if key else "Written by hand", f"It is changed in {where}."
    shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    said = f"{key}: {shown.lower() if isinstance(value, bool) else shown}" if value is not None else ""
    column = test.columns[0] if len(test.columns) == 1 else ""
    return ByHand(
        name=test.name, column=column, key=key or str(test.kind), label=label, said=said, value=value,
        severity=str(test.severity), why=test.description, asks=frozenset(asks), elsewhere=elsewhere, where=where,
    )  # fmt: skip


def _may(one: ByHand, **wanted: bool) -> None:
    for what, asked in wanted.items():
        if asked and what not in one.asks:
            raise UsageError(f"`{one.name}`: {what} cannot be changed from here\n    {one.elsewhere or one.where}")


def _say(mesh: Mesh, table: Table, one: ByHand, *, value: Any, severity: str) -> Edit:  # noqa: ANN401 - of YAML
    def change(schema: Any) -> None:  # noqa: ANN401 - ruamel's
        column = owner_of(schema, one.column, table)
        if value != one.value and one.key == "enum":
            _list(column["enum"], value, one)
        elif value != one.value:
            column["logicalTypeOptions"][one.key] = value
        if severity == one.severity:
            return
        names = {f"severity.{key}" for key in _spelt(one.key)}
        said = [extra for extra in column.get("customProperties") or () if extra.get("property") in names]
        if severity == "error":
            _drop(column, names)
        elif said:
            said[0]["value"] = severity
        else:
            extra = authoring.plain({"extra": {"property": f"severity.{one.key}", "value": severity}})["extra"]
            if column.get("customProperties"):
                extras = column["customProperties"]
                extras.insert(len(extras) - ends_with_comment(extras), extra)
            else:
                column.insert(len(column) - ends_with_comment(column), "customProperties", [extra])

    return changed(mesh, table, change)


def _list(entries: Any, values: Sequence[object], one: ByHand) -> None:  # noqa: ANN401 - ruamel's
    """An `enum` of these values: entries that stay keep what else they say, new ones come last."""
    for place in reversed(range(len(entries))):
        if entries[place].get("value") in values:
            continue
        if comment_follows(entries, place):
            mend = f"Change the list by hand, or move the comment: {one.where}"
            raise UsageError(f"a comment stands below `{entries[place].get('value')}`\n    {mend}")
        entries.pop(place)
    known = [entry.get("value") for entry in entries]
    new = [authoring.plain({"entry": {"value": value}})["entry"] for value in values if value not in known]
    at = len(entries) - ends_with_comment(entries)
    entries[at:at] = new


def _spelt(key: str) -> set[str]:
    """A key, and how its kind is spelt: `severity.minLength` and `severity.min_length` are the same."""
    return {key, KEY_KIND.get(key, key)}


def _drop(column: Any, names: set[str]) -> None:  # noqa: ANN401 - ruamel's
    """Properties of a column's own that are of no use any more."""
    extras = column.get("customProperties")
    for place in reversed(range(len(extras or ()))):
        if extras[place].get("property") in names:
            if ends_with_comment(extras[place]):
                raise UsageError("a comment stands below what would be taken out\n    Change it by hand in the file.")
            extras.pop(place)
    if extras is not None and not extras:
        column.pop("customProperties")
