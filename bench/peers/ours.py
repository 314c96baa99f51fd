"""This library: the rows are in its lake, nothing of an earlier audit is remembered."""

import subprocess
import sys

from common import COUNTRIES, FIRST, LAST, LONGEST, PATTERNS, RANGES, REQUIRED, STATES, files, measured

from mesh_assets.audit.contents import Knowledge
from mesh_assets.audit.execute import audit
from mesh_assets.contract import Column, Contract, Kind, Test
from mesh_assets.lake import Lake, Publication

orders, customers, folder = files()
ZERO = {"operator": "mustBe", "threshold": 0}


def of(name: str, kind: Kind, column: str = "", type_: str = "", **arguments: object) -> Test:
    """A test of one column, or of the table."""
    return Test(name=name, kind=kind, columns=(column,) if column else (), arguments=arguments, type=type_)


tests = [
    *(of(f"{name}__required", Kind.REQUIRED, name) for name in REQUIRED),
    of("order_id__unique", Kind.UNIQUE, "order_id"),
    of("country__in", Kind.INVALID_VALUES, "country", valid_values=COUNTRIES, **ZERO),
    of("status__in", Kind.INVALID_VALUES, "status", valid_values=STATES, **ZERO),
    *(of(f"{name}__range", Kind.LIBRARY, name, "range", least=low, most=high) for name, (low, high) in RANGES.items()),
    *(of(f"{name}__pattern", Kind.PATTERN, name, pattern=pattern) for name, pattern in PATTERNS.items()),
    of("note__length", Kind.MAX_LENGTH, "note", value=LONGEST),
    of("ordered_on__range", Kind.LIBRARY, "ordered_on", "range", least=FIRST, most=LAST),
    of("shipped_on__order", Kind.LIBRARY, "", "condition", condition="shipped_on >= ordered_on"),
    of("rows", Kind.ROW_COUNT, operator="mustBeGreaterThan", threshold=0),
    of("customer_id__reference", Kind.REFERENCE, "customer_id", to_table="a.customers", to_columns=("id",)),
]
lake = Lake(folder)
if sys.argv[4:]:  # in a process of its own, whose memory is not the audit's
    lake.create()
    with lake.session() as con:
        staged = [lake.stage(con, f"a.{file.stem}", f"FROM '{file}'") for file in (orders, customers)]
        lake.publish(con, [Publication(staged=one, record={}) for one in staged], run="r", pin=0)
    raise SystemExit
subprocess.run([sys.executable, *sys.argv, "publish"], check=True)
with lake.session() as con:
    table, version = "a.orders", lake.head()
    types = dict(lake.columns(con, table, version))
    columns = tuple(Column(name=name, type=kind) for name, kind in types.items())
    contract = Contract(id="peers", version="1.0.0", name="orders", columns=columns, tests=tuple(tests))

    def work() -> dict[str, int]:
        """An audit, as after a table was staged."""
        known = Knowledge(contents=lake.contents(con, (table, version), types))
        relation = lake.relation(table, version)
        found = audit(con, relation, contract, related=lambda name: lake.relation(name, version), known=known)
        if wrong := [one.message for one in found if one.status == "error"]:
            raise SystemExit("\n".join(wrong))
        return {one.test.name: one.failing_rows for one in found}

    measured(work)
lake.close()
