"""Mesh, lake and ledger as plain data for people and programs: the one serialiser of command line, portal and API."""

from mesh_assets.catalog.account import status
from mesh_assets.catalog.pipelines import (
    cancel,
    domain_named,
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
    query,
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
    "cancel",
    "domain_named",
    "named",
    "pause_report",
    "pipeline_named",
    "pipeline_report",
    "pipelines_report",
    "plain",
    "query",
    "query_report",
    "run_report",
    "settle",
    "spelt",
    "status",
    "test_report",
    "with_downstream",
    "with_upstream",
]
