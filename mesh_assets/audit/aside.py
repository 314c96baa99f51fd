"""Which rows a contract sets aside: those that fail a rule whose action is `quarantine`, each judged by itself."""

from collections.abc import Callable, Mapping

import duckdb

from mesh_assets.audit.questions import Target, question
from mesh_assets.audit.scan import types_of
from mesh_assets.audit.values import CannotAnswer
from mesh_assets.contract import Contract

Related = Callable[[str], str | None]


def conditions(
    con: duckdb.DuckDBPyConnection, relation: str, contract: Contract, related: Related
) -> Mapping[str, str]:
    """What is true of a row that is set aside, by the name of the test, in the contract's order.

    Args:
        con: Where the relation can be read.
        relation: The table, as SQL that can follow FROM.
        contract: Whose tests.
        related: SQL of another table that a test refers to.

    Returns:
        Tests that cannot be asked of this table are left out: they hold the version as it is.
    """
    types = types_of(con, relation)

    def target(table: str) -> Target:
        sql = related(table)
        if sql is None:
            msg = f"`{table}` cannot be read here"
            raise CannotAnswer(msg)
        return Target(sql, types_of(con, sql))

    found = {}
    for test in contract.tests:
        if not test.quarantines or any(column not in types for column in test.columns):
            continue
        try:
            found[test.name] = question(test, relation, types, target).condition
        except (CannotAnswer, duckdb.Error):
            continue
    return {name: condition for name, condition in found.items() if condition}
