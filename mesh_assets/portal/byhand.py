"""The form of a rule that somebody has written by hand, and of what a column says in its own keys."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mesh_assets import address as names
from mesh_assets import handwritten, testing
from mesh_assets.address import Address, NotFound
from mesh_assets.authoring import Edit, contract_of
from mesh_assets.catalog.reports import SCHEMA_VERSION, Json
from mesh_assets.domain import Table
from mesh_assets.errors import ConfigError, RunError, UsageError
from mesh_assets.handwritten import DEMANDS, PAIRS, TEXTS, UNSAID, ByHand
from mesh_assets.offered import column_of
from mesh_assets.portal import forms
from mesh_assets.portal.forms import Sent
from mesh_assets.portal.pages import Page
from mesh_assets.portal.site import View

LONGEST = {"value": 20_000, "why": 2_000}
"""Characters of a pattern or a list, and of a reason."""


def listed(view: View, table: Table) -> list[Json]:
    """What columns say, and what stands beside the contract, for the page of a table's tests."""
    return [
        {"name": one.name, "column": one.column, "label": one.label, "said": one.said, "severity": one.severity,
         "form": bool(one.asks - {"remove"}), "remove": "remove" in one.asks, "elsewhere": one.elsewhere}
        for one in handwritten.of_columns(view.env.mesh, table)
    ]  # fmt: skip


def find(view: View, table: Table, name: str) -> ByHand:
    """The rule of that name.

    Raises:
        NotFound: There is none that could be changed here; where it stands.
    """
    try:
        one = handwritten.find(view.env.mesh, table, name)
    except UsageError as error:
        raise NotFound(str(error)) from None
    if not one.asks - {"remove"}:
        raise NotFound(f"`{name}` has no form: it is written by hand\n    {one.elsewhere}")
    return one


def page(
    view: View,
    address: Address,
    one: ByHand,
    revision: str,
    *,
    sent: Sent | None = None,
    errors: Mapping[str, str] | None = None,
    problems: list[str] | None = None,
    made: Json | None = None,
) -> Page:
    """Its form, as it stands or as it was sent."""
    texts = {key: (sent or {}).get(key, [""])[0] for key in ("operator", "value", "unit", "severity", "why")}
    shown = texts if sent is not None else {
        "operator": one.operator, "value": _shown(one.value), "unit": one.unit,
        "severity": one.severity, "why": one.why,
    }  # fmt: skip
    data = {
        "schema_version": SCHEMA_VERSION, "table": str(address), "name": one.name, "of": one.column, "label": one.label,
        "said": one.said, "key": one.key, "asks": sorted(one.asks), "elsewhere": one.elsewhere, "units": bool(one.unit),
        "demands": dict(DEMANDS), "severities": dict(forms.SEVERITIES), "revision": revision, **shown,
        "errors": dict(errors or {}), "problems": problems or [], "result": None, "diff": "", **(made or {}),
    }  # fmt: skip
    domain = view.env.mesh.domains[address.domain].title or address.domain
    path = f"{names.path(address)}/tests"
    crumbs = (("Domains", "/mesh/"), (domain, names.path(address.domain)), (f"{address.table}: tests", path))
    return Page(
        template="rule_form.html", title=f"{address.table}: change {one.name}", data=data, path=path, crumbs=crumbs
    )


def edited(view: View, table: Table, one: ByHand, sent: Sent) -> tuple[Edit | None, dict[str, str], list[str]]:
    """What the form says as a change of the file; or what is wrong, by field, and the rest of it.

    Raises:
        UsageError: Nothing would be changed.
    """
    texts = {key: values[0].strip() for key, values in sent.items() if values}
    errors: dict[str, str] = {}
    severity = texts.get("severity", one.severity)
    if "severity" in one.asks and severity not in forms.SEVERITIES:
        errors["severity"] = "Choose what a failure does."
    for key in ("value", "why"):
        if len(texts.get(key, "")) > LONGEST[key]:
            errors[key] = f"{len(texts[key]):,} characters are too many: {LONGEST[key]:,} at most."
    operator = texts.get("operator", one.operator)
    if "operator" in one.asks and operator not in DEMANDS:
        errors["operator"] = "Choose what is demanded."
    value: Any = UNSAID
    if one.asks & {"operator", "value"} and not errors:
        try:
            value = _value(table, one, operator, texts.get("value", ""))
        except ValueError as wrong:
            errors["value"] = str(wrong)
    if errors:
        return None, errors, []
    try:
        edit = handwritten.alter(
            view.env.mesh, table, one, operator=operator, value=value, unit=texts.get("unit", ""), severity=severity,
            why=texts.get("why", "") if "why" in one.asks else None,
        )  # fmt: skip
    except ConfigError as error:
        said = [f"{problem.what[:1].upper()}{problem.what[1:]}. {problem.mend}" for problem in error.problems]
        return None, {}, said
    return edit, {}, []


def tried(view: View, table: Table, name: str, edit: Edit) -> Json:
    """What the rule says of the published version, changed like this; nothing is kept."""
    return told(lambda: testing.tried_as(view.env, table, edit.contract, name))


def told(ask: Callable[[], Sequence[testing.Item]]) -> Json:
    """The one result of a try; or, in its place, why there is none."""
    nothing = {"sample": [], "query": "", "subject": ""}
    try:
        found = ask()
    except UsageError as error:  # never published
        return {**nothing, "status": "never ran", "message": str(error).split("\n", 1)[0]}
    except RunError as error:  # it wanted too much
        return {**nothing, "status": "error", "message": ". ".join(line.strip() for line in str(error).splitlines())}
    return dict(found[0]) if found else {**nothing, "status": "never ran", "message": "This rule is not executed."}


def _value(table: Table, one: ByHand, operator: str, text: str) -> Any:  # noqa: ANN401 - of YAML
    if "operator" in one.asks:
        return forms.demanded(text, pair=operator in PAIRS)
    if not text:
        raise ValueError("Say it, or remove the rule.")
    if one.key == "enum":
        return tuple(dict.fromkeys(forms.listed(text, column_of(contract_of(table), one.column))))
    if one.key in TEXTS or not isinstance(one.value, int | float):
        return text
    return forms.number(text)


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return ("\n" if isinstance(value, tuple) else " and ").join(map(str, value))
    return "" if value is None else str(value)
