"""Relationships of an ODCS file to tests: every value is a value of another table's column."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

from mesh_assets.contract import Column, Kind, Severity, Test
from mesh_assets.errors import Place, Problem, nearest
from mesh_assets.reading.aside import sets_aside
from mesh_assets.reading.source import Document, Map, Seq, maps, text, texts
from mesh_assets.reading.testwords import override, slug


def references_of_column(
    document: Document, prop: Map, column: Column, domain: str, problems: list[Problem]
) -> Iterator[Test]:
    """The tests of a column's relationships; `table.column` is a table of `domain`."""
    for index, relationship in enumerate(maps(prop, "relationships")):
        target = relationship.get("to")
        if isinstance(target, Seq) and len(target) == 1:
            target = target[0]
        found = _target(document, relationship, target, domain, problems) if isinstance(target, str) else None
        if found is None:
            continue
        level = (
            override(document, relationship, "reference", problems)
            or override(document, prop, "reference", [])
            or Severity.ERROR
        )
        name = text(relationship, "id") or f"{column.name}__reference{f'_{index + 1}' if index else ''}"
        reference = _Reference((column.name,), found[0], (found[1],))
        aside = sets_aside(document, relationship, problems) or sets_aside(document, prop, problems, "reference")
        yield reference.test(name, level, document.place(relationship, "to"), aside=aside)


def references_of_table(
    document: Document, schema: Map, relationship: Map, names: dict[str, str], domain: str, problems: list[Problem]
) -> Iterator[Test]:
    """The test of one relationship of the table; `names` holds each column's name in the contract, and in the lake."""
    sources, targets = texts(relationship, "from"), texts(relationship, "to")
    own = {name for key in ("name", "physicalName") if (name := text(schema, key))}
    if not sources or not targets:
        return
    if len(sources) != len(targets):
        what = f"the relationship has {len(sources)} columns in `from` and {len(targets)} in `to`"
        problems.append(
            document.problem(
                "M214", what, "Name as many columns on both sides, in the same order.", relationship, "from"
            )
        )
        return
    columns: list[str] = []
    for source in sources:
        parts = _parts(source)
        if len(parts) > 1 and parts[-2] not in own:
            mend = f"Write `{min(own, default='table')}.{parts[-1]}`, and turn the relationship round if need be."
            problems.append(
                document.problem("M214", f"`{source}` is no column of this table", mend, relationship, "from")
            )
            return
        if parts[-1] not in names:
            problems.append(
                document.problem(
                    "M207",
                    f"`{parts[-1]}` is no column of this contract",
                    nearest(parts[-1], names),
                    relationship,
                    "from",
                )
            )
            return
        columns.append(names[parts[-1]])
    found = [_target(document, relationship, target, domain, problems) for target in targets]
    if not all(found):
        return
    tables = {pair[0] for pair in found if pair}
    if len(tables) > 1:
        what = f"the relationship leads to several tables: {', '.join(sorted(tables))}"
        problems.append(document.problem("M214", what, "Name columns of one table in `to`.", relationship, "to"))
        return
    level = override(document, relationship, "reference", problems) or Severity.ERROR
    name = text(relationship, "id") or f"{'_'.join(columns)}__reference"
    reference = _Reference(tuple(columns), tables.pop(), tuple(pair[1] for pair in found if pair))
    aside = sets_aside(document, relationship, problems)
    yield reference.test(name, level, document.place(relationship, "to"), aside=aside)


@dataclass(frozen=True, slots=True)
class _Reference:
    """Columns of this table, and the columns of another that hold their values."""

    columns: tuple[str, ...]
    to_table: str
    to_columns: tuple[str, ...]

    def test(self, name: str, level: Severity, where: Place, *, aside: bool) -> Test:
        return Test(
            name=slug(name),
            kind=Kind.REFERENCE,
            columns=self.columns,
            arguments=MappingProxyType({"to_table": self.to_table, "to_columns": self.to_columns}),
            severity=level,
            dimension="consistency",
            where=where,
            quarantines=aside,
        )


def _target(
    document: Document, relationship: Map, target: str, domain: str, problems: list[Problem]
) -> tuple[str, str] | None:
    parts = _parts(target)
    if len(parts) == 2:  # noqa: PLR2004 - table.column
        return f"{domain}.{parts[0]}", parts[1]
    if len(parts) == 3:  # noqa: PLR2004 - domain.table.column
        return f"{parts[0]}.{parts[1]}", parts[2]
    if not any(problem.where == document.place(relationship, "to") for problem in problems):
        mend = "Write `table.column` for a table of your own domain, `domain.table.column` for another domain's port."
        problems.append(document.problem("M214", f"`{target}` names no column of a table", mend, relationship, "to"))
    return None


def _parts(reference: str) -> list[str]:
    """`table.column`, `domain.table.column` or `/schema/table/properties/column` in its parts."""
    path = reference.strip("/").split("/")
    if len(path) == 4 and path[0] == "schema" and path[2] == "properties":  # noqa: PLR2004 - the standard's long form
        return [path[1], path[3]]
    return [] if "/" in reference or "#" in reference else reference.split(".")
