"""Mesh, lake and ledger as plain data for people and programs: the one serialiser of command line, portal and API."""

from mesh_assets.catalog.account import status
from mesh_assets.catalog.backfills import (
    Plan,
    backfill_named,
    backfill_report,
    backfills_report,
    cancel_backfill,
    plan,
    plan_json,
    settle_backfills,
)
from mesh_assets.catalog.pipelines import (
    cancel,
    pause_report,
    pipeline_named,
    pipeline_report,
    pipelines_report,
    settle,
)
from mesh_assets.catalog.reports import (
    SCHEMA_VERSION,
    Json,
    named,
    plain,
    query_report,
    run_report,
    spelt,
    test_report,
    with_downstream,
    with_upstream,
)

__all__ = [
    "SCHEMA_VERSION",
    "Json",
    "Plan",
    "backfill_named",
    "backfill_report",
    "backfills_report",
    "cancel",
    "cancel_backfill",
    "named",
    "pause_report",
    "pipeline_named",
    "pipeline_report",
    "pipelines_report",
    "plain",
    "plan",
    "plan_json",
    "query_report",
    "run_report",
    "settle",
    "settle_backfills",
    "spelt",
    "status",
    "test_report",
    "with_downstream",
    "with_upstream",
]
