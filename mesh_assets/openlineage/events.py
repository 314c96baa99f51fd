"""Facts to events of OpenLineage, as plain JSON. The same facts are the same events, whenever they are asked for.

What becomes what: docs/how-to/send-lineage-to-openlineage.md. Built of the classes of `openlineage-python`, which are
generated from the specification's JSON Schemas; the package is imported by whoever asks for events, and by nobody else.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesh_assets.audit.words import is_failure
from mesh_assets.changes.lineage import Known
from mesh_assets.changes.texts import text_of
from mesh_assets.domain import Load, Mesh, Table, Toolchain
from mesh_assets.lake.trouble import without_passwords
from mesh_assets.launches import Launch
from mesh_assets.openlineage.facts import Built
from mesh_assets.openlineage.naming import Names, Origin, origin

if TYPE_CHECKING:
    from openlineage.client import event_v2, facet_v2

Json = dict[str, Any]
INTEGRATION = "MESH"
ASSERTIONS: Mapping[str, str] = {"required": "not_null", "sql": "custom_sql"}
"""What the specification calls some of our tests; the others keep their word."""
LANGUAGES: Mapping[Toolchain, str] = {
    Toolchain.PYTHON: "PYTHON",
    Toolchain.NOTEBOOK: "PYTHON",
    Toolchain.SQL: "SQL",
    Toolchain.DBT: "SQL",
}
MOST = 2_000
"""Files of one source, and characters of one message, that an event names."""


def of_build(mesh: Mesh, names: Names, built: Built) -> list[Json]:
    """Events of one time that a table was tried: it started, its tests ran, it ended."""
    from openlineage.client import event_v2

    ends = event_v2.RunState.COMPLETE if built.succeeded else event_v2.RunState.FAIL
    if built.outcome in ("skipped", "cancelled"):
        ends = event_v2.RunState.ABORT
    job = event_v2.Job(namespace=names.jobs, name=built.name, facets=_job_facets(mesh, built))
    start, end = run_id(names, built), built.end
    events = [
        event_v2.RunEvent(
            eventTime=_stamp(built.start),
            eventType=event_v2.RunState.START,
            run=event_v2.Run(runId=start, facets=_run_facets(mesh, names, built, ended=False)),
            job=job,
            inputs=_inputs(mesh, names, built),
            outputs=[event_v2.OutputDataset(namespace=names.tables, name=built.name)],
        ),
        *_tests(mesh, names, built),
        event_v2.RunEvent(
            eventTime=_stamp(end),
            eventType=ends,
            run=event_v2.Run(runId=start, facets=_run_facets(mesh, names, built, ended=True)),
            job=job,
            inputs=_inputs(mesh, names, built),
            outputs=[_output(mesh, names, built)],
        ),
    ]
    return [_plain(event) for event in events]


def of_launch(mesh: Mesh, names: Names, launch: Launch, *, ended: bool) -> list[Json]:
    """The event of a launch of a horizontal pipeline: that it was asked for, or how it ended."""
    from openlineage.client import event_v2, facet_v2

    pipeline = mesh.pipelines.get(launch.pipeline)
    facets: dict[str, Any] = {"jobType": _job_type("PIPELINE")}
    if pipeline is not None and pipeline.title:
        facets["documentation"] = facet_v2.documentation_job.DocumentationJobFacet(description=pipeline.title)
    told: dict[str, Any] = {
        "tags": _tags({"mesh.by": launch.by, **({"mesh.outcome": launch.outcome} if ended else {})})
    }
    state, at = event_v2.RunState.START, launch.at
    if ended:
        at = launch.ended
        state = {"delivered": event_v2.RunState.COMPLETE, "cancelled": event_v2.RunState.ABORT}.get(
            launch.outcome, event_v2.RunState.FAIL
        )
        if state is event_v2.RunState.FAIL:
            told["errorMessage"] = _error(str(launch.record.get("sentence") or launch.outcome), "SQL")
    event = event_v2.RunEvent(
        eventTime=at,
        eventType=state,
        run=event_v2.Run(runId=launch.id, facets=told),
        job=event_v2.Job(namespace=names.jobs, name=pipeline_job(launch.pipeline), facets=facets),
    )
    return [_plain(event)]


def pipeline_job(pipeline: str) -> str:
    """The job of a pipeline; a table's has a point in its name and no stroke."""
    return f"pipelines/{pipeline}"


def run_id(names: Names, built: Built, part: str = "") -> str:
    """The run of a build (or of its tests): made of what is on record, so that who is told twice can tell."""
    from openlineage.client.uuid import generate_static_uuid

    words = (names.jobs, built.name, built.run, built.end.isoformat(), part)
    return str(generate_static_uuid(built.start, "\0".join(words).encode()))


# -- runs and jobs --------------------------------------------------------------------------------------------------------


def _run_facets(mesh: Mesh, names: Names, built: Built, *, ended: bool) -> "dict[str, facet_v2.RunFacet]":
    from openlineage.client import facet_v2

    tags = {"mesh.run": built.run}
    if ended:
        tags |= {"mesh.outcome": built.outcome}
        tags |= {f"mesh.held.{name}": "true" for name in built.record.get("held", ())}
    found: dict[str, Any] = {"tags": _tags(tags)}
    if built.launch is not None:
        job = pipeline_job(built.launch.pipeline)
        found["parent"] = _parent((built.launch.id, names.jobs, job), (built.launch.id, names.jobs, job))
    duckdb = built.record.get("made", {}).get("packages", {}).get("duckdb")
    if ended and duckdb:
        found["processing_engine"] = facet_v2.processing_engine_run.ProcessingEngineRunFacet(
            version=duckdb, name="duckdb", openlineageAdapterVersion=_version()
        )
    if ended and not built.succeeded and built.outcome != "cancelled":
        language = LANGUAGES.get(built.table.toolchain, "SQL") if built.table else "SQL"
        found["errorMessage"] = _error(_without_values(mesh, built), language)
    return found


def _job_facets(mesh: Mesh, built: Built) -> "dict[str, facet_v2.JobFacet]":
    from openlineage.client import facet_v2

    table, domain = built.table, mesh.domains.get(built.name.partition(".")[0])
    found: dict[str, Any] = {"jobType": _job_type("TABLE")}
    if domain is not None:
        if owners := [facet_v2.ownership_job.Owner(name=name, type=kind) for name, kind in _owners(mesh, built)]:
            found["ownership"] = facet_v2.ownership_job.OwnershipJobFacet(owners=owners)
        if domain.purpose:
            found["documentation"] = facet_v2.documentation_job.DocumentationJobFacet(description=domain.purpose)
    if table is None or not built.same_code:
        return found
    if (text := text_of(mesh, table)) is not None:
        found["sql"] = facet_v2.sql_job.SQLJobFacet(query=text.sql, dialect="duckdb")
    if url := _link(mesh, table, built.record.get("made", {})):
        found["sourceCodeLocation"] = facet_v2.source_code_location_job.SourceCodeLocationJobFacet(
            type="git", url=url, path=_relative(mesh, table.path), version=built.record["made"]["commit"]
        )
    return found


def _job_type(kind: str) -> "facet_v2.JobFacet":
    from openlineage.client import facet_v2

    return facet_v2.job_type_job.JobTypeJobFacet(processingType="BATCH", integration=INTEGRATION, jobType=kind)


def _parent(parent: tuple[str, str, str], root: tuple[str, str, str]) -> "facet_v2.RunFacet":
    from openlineage.client.facet_v2 import parent_run

    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=parent[0]),
        job=parent_run.Job(namespace=parent[1], name=parent[2]),
        root=parent_run.Root(
            run=parent_run.RootRun(runId=root[0]), job=parent_run.RootJob(namespace=root[1], name=root[2])
        ),
    )


def _tags(tags: Mapping[str, str]) -> "facet_v2.RunFacet":
    from openlineage.client.facet_v2 import tags_run

    fields = [tags_run.TagsRunFacetFields(key=key, value=value, source="MESH") for key, value in tags.items()]
    return tags_run.TagsRunFacet(tags=fields)


def _error(message: str, language: str) -> "facet_v2.RunFacet":
    from openlineage.client.facet_v2 import error_message_run

    told = without_passwords(message)[:MOST]
    return error_message_run.ErrorMessageRunFacet(message=told, programmingLanguage=language)


def _without_values(mesh: Mesh, built: Built) -> str:
    """What went wrong; what is quoted in it is left out where it may be a value that nobody may see."""
    said = built.record.get("message") or built.outcome
    tables = [mesh.tables[name] for name in (built.name, *built.inputs) if name in mesh.tables]
    if any(table.contract and table.contract.masked for table in tables):
        return re.sub(r"'[^']*'|\"[^\"]*\"", "'•••'", said)
    return said


def _owners(mesh: Mesh, built: Built) -> list[tuple[str, str]]:
    domain = mesh.domains.get(built.name.partition(".")[0])
    team = domain.team if domain else None
    found = [(f"team:{team.name}", "OWNER")] if team and team.name else []
    return [*found, (f"user:{team.owner}", "CONTACT")] if team and team.owner else found


def _link(mesh: Mesh, table: Table, made: Mapping[str, Any]) -> str:
    """Where the code that was run can be looked at: nothing where the files were not as the commit has them."""
    path = _relative(mesh, table.path)
    if not (mesh.repository and made.get("commit") and path) or made.get("changed"):
        return ""
    return mesh.repository.replace("{commit}", made["commit"]).replace("{path}", path)


def _relative(mesh: Mesh, path: Path) -> str:
    return path.relative_to(mesh.root).as_posix() if path != Path() and path.is_relative_to(mesh.root) else ""


# -- datasets -------------------------------------------------------------------------------------------------------------


def _inputs(mesh: Mesh, names: Names, built: Built) -> "list[event_v2.InputDataset]":
    from openlineage.client import event_v2

    found = [
        event_v2.InputDataset(namespace=names.tables, name=name, facets=_version_facets(version))
        for name, version in sorted(built.inputs.items())
    ]
    place = origin(mesh, built.table, built.record.get("files", {})) if built.table is not None else None
    return [*found, _outside(built, place)] if place is not None else found


def _outside(built: Built, place: Origin) -> "event_v2.InputDataset":
    from openlineage.client import event_v2, facet_v2

    facets: dict[str, Any] = {
        "datasetType": facet_v2.dataset_type_dataset.DatasetTypeDatasetFacet(datasetType=place.kind)
    }
    if built.record.get("raw"):
        facets |= _version_facets(built.record["raw"])
    read: dict[str, Any] = {}
    if place.locations:
        subset = facet_v2.base_subset_dataset
        condition = subset.LocationSubsetCondition(locations=list(place.locations[:MOST]))
        read["subset"] = subset.InputSubsetInputDatasetFacet(inputCondition=condition)
    return event_v2.InputDataset(namespace=place.namespace, name=place.name, facets=facets, inputFacets=read)


def _output(mesh: Mesh, names: Names, built: Built) -> "event_v2.OutputDataset":
    from openlineage.client import event_v2, facet_v2

    record, facets = built.record, _table_facets(mesh, names, built)
    written: dict[str, Any] = {}
    if built.succeeded:
        facets |= _version_facets(built.version)
        facets["schema"] = _schema(built)
        if (rows := record.get("rows")) is not None:
            metrics = facet_v2.data_quality_metrics_dataset
            facets["dataQualityMetrics"] = metrics.DataQualityMetricsDatasetFacet(rowCount=rows, columnMetrics={})
        if (columns := _column_lineage(names, built)) is not None:
            facets["columnLineage"] = columns
        whole = built.table is not None and built.table.load is Load.FULL and built.table.partitions is None
        if built.outcome == "published" and rows is not None and whole:
            statistics = facet_v2.output_statistics_output_dataset
            written["outputStatistics"] = statistics.OutputStatisticsOutputDatasetFacet(rowCount=rows)
    return event_v2.OutputDataset(namespace=names.tables, name=built.name, facets=facets, outputFacets=written)


def _version_facets(version: int | str | None) -> dict[str, Any]:
    from openlineage.client import facet_v2

    if version is None:
        return {}
    return {"version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=str(version))}


def _table_facets(mesh: Mesh, names: Names, built: Built) -> dict[str, Any]:
    """What a table is, whatever came of this try."""
    from openlineage.client import facet_v2

    contract = built.table.contract if built.table and built.same_contract else None
    found: dict[str, Any] = {
        "datasetType": facet_v2.dataset_type_dataset.DatasetTypeDatasetFacet(datasetType="TABLE"),
        "storage": facet_v2.storage_dataset.StorageDatasetFacet(storageLayer="ducklake", fileFormat="parquet"),
        "catalog": facet_v2.catalog_dataset.CatalogDatasetFacet(
            framework="ducklake", type=names.catalog, name=mesh.name, warehouseUri=names.warehouse
        ),
    }
    if owners := [facet_v2.ownership_dataset.Owner(name=name, type=kind) for name, kind in _owners(mesh, built)]:
        found["ownership"] = facet_v2.ownership_dataset.OwnershipDatasetFacet(owners=owners)
    if contract and contract.description:
        facet = facet_v2.documentation_dataset.DocumentationDatasetFacet(description=contract.description)
        found["documentation"] = facet
    return found


def _schema(built: Built) -> "facet_v2.DatasetFacet":
    from openlineage.client.facet_v2 import schema_dataset

    contract = built.table.contract if built.table and built.same_contract else None
    told = {column.name.lower(): column.description for column in contract.columns} if contract else {}
    return schema_dataset.SchemaDatasetFacet(
        fields=[
            schema_dataset.SchemaDatasetFacetFields(
                name=name, type=kind, description=told.get(name.lower()) or None, ordinal_position=number
            )
            for number, (name, kind) in enumerate(built.columns.get(built.name, ()), 1)
        ]
    )


def _column_lineage(names: Names, built: Built) -> "facet_v2.DatasetFacet | None":
    """What each column is made of; and what else is read: to join, to filter, to group."""
    from openlineage.client.facet_v2 import column_lineage_dataset as kind

    found = built.lineage
    if found is None:
        return None
    spelt = {(table, column.lower()): column for table, columns in built.columns.items() for column, _ in columns}

    def field(source: tuple[str, str], how: "kind.Transformation") -> "kind.InputField":
        return kind.InputField(
            namespace=names.tables, name=source[0], field=spelt.get(source, source[1]), transformations=[how]
        )

    fields = {}
    direct: set[tuple[str, str]] = set()
    for column, _ in built.columns.get(built.name, ()):
        sources = sorted(each for each in found.outputs.get(column.lower(), ()) if each[0] in built.columns)
        copied = found.copies.get(column.lower())
        direct.update(sources)
        if sources:
            fields[column] = kind.Fields(
                inputFields=[
                    field(each, kind.Transformation(type="DIRECT", subtype="IDENTITY" if each == copied else None))
                    for each in sources
                ]
            )
    others = sorted(
        (use.table, column)
        for use in found.uses.values()
        if use.known is Known.PROVEN
        for column in use.columns
        if (use.table, column) not in direct
    )
    if not fields and not others:
        return None
    indirect = [field(each, kind.Transformation(type="INDIRECT")) for each in others]
    return kind.ColumnLineageDatasetFacet(fields=fields, dataset=indirect)


# -- tests ----------------------------------------------------------------------------------------------------------------


def _tests(mesh: Mesh, names: Names, built: Built) -> "list[event_v2.RunEvent]":
    """A run of its own, which reads the table: the specification has assertions of inputs only."""
    from openlineage.client import event_v2, facet_v2

    if not built.results:
        return []
    run, own = run_id(names, built, "tests"), run_id(names, built)
    root = (own, names.jobs, built.name)
    if built.launch is not None:
        root = (built.launch.id, names.jobs, pipeline_job(built.launch.pipeline))
    facets: dict[str, Any] = {"jobType": _job_type("TEST")}
    if owners := [facet_v2.ownership_job.Owner(name=name, type=kind) for name, kind in _owners(mesh, built)]:
        facets["ownership"] = facet_v2.ownership_job.OwnershipJobFacet(owners=owners)
    job = event_v2.Job(namespace=names.jobs, name=f"{built.name}.tests", facets=facets)
    parent = {"parent": _parent((own, names.jobs, built.name), root)}
    stopped = [each for each in built.results if is_failure(each) and each["severity"] == "error"]
    ended: dict[str, Any] = {**parent, "test": _executions(built)}
    if stopped:
        said = (
            f"{len(stopped)} of {len(built.results)} tests failed: {', '.join(str(each['name']) for each in stopped)}"
        )
        ended["errorMessage"] = _error(said, "SQL")
    about = _version_facets(built.version) if built.succeeded else {}  # what was refused has no version

    def event(state: "event_v2.RunState", told: dict[str, Any], read: dict[str, Any]) -> "event_v2.RunEvent":
        return event_v2.RunEvent(
            eventTime=_stamp(built.end),
            eventType=state,
            run=event_v2.Run(runId=run, facets=told),
            job=job,
            inputs=[
                event_v2.InputDataset(namespace=names.tables, name=built.name, facets=dict(about), inputFacets=read)
            ],
        )

    return [
        event(event_v2.RunState.START, parent, {}),
        event(event_v2.RunState.FAIL if stopped else event_v2.RunState.COMPLETE, ended, _quality(built)),
    ]


def _quality(built: Built) -> dict[str, Any]:
    from openlineage.client import facet_v2

    kind, metrics = facet_v2.data_quality_assertions_dataset, facet_v2.data_quality_metrics_input_dataset
    columns = {name.lower() for name, _ in built.columns.get(built.name, ())}
    found: dict[str, Any] = {
        "dataQualityAssertions": kind.DataQualityAssertionsDatasetFacet(
            assertions=[
                kind.Assertion(
                    assertion=_assertion(each),
                    success=each["status"] == "pass",
                    column=each["column"] if _is_one(each["column"], columns) else None,
                    severity="error" if each["severity"] == "error" else "warn",
                    name=str(each["name"]),
                    description=_descriptions(built).get(str(each["name"])) or None,
                    params=_params(each),
                )
                for each in built.results or ()
            ]
        )
    }
    if (rows := built.record.get("rows")) is not None:
        found["dataQualityMetrics"] = metrics.DataQualityMetricsInputDatasetFacet(rowCount=rows, columnMetrics={})
    return found


def _executions(built: Built) -> "facet_v2.RunFacet":
    from openlineage.client.facet_v2 import test_run

    return test_run.TestRunFacet(
        tests=[
            test_run.TestExecution(
                name=str(each["name"]),
                status="pass" if each["status"] == "pass" else "fail",
                severity="error" if each["severity"] == "error" else "warn",
                type=_assertion(each),
                params=_params(each),
            )
            for each in built.results or ()
        ]
    )


def _assertion(result: Mapping[str, Any]) -> str:
    return ASSERTIONS.get(str(result["type"]), str(result["type"]))


def _is_one(column: str | None, columns: set[str]) -> bool:
    """Whether it names one column, and not several."""
    return column is not None and (column.lower() in columns or (not columns and "," not in column))


def _params(result: Mapping[str, Any]) -> dict[str, Any]:
    """How many rows, and of which columns; never their values."""
    found = {"failing_rows": result["failing_rows"], "total_rows": result["total_rows"]}
    return found | ({"columns": str(result["column"]).split(", ")} if "," in (result["column"] or "") else {})


def _descriptions(built: Built) -> dict[str, str]:
    contract = built.table.contract if built.table and built.same_contract else None
    return {test.name: test.description for test in contract.tests} if contract else {}


# -- as text --------------------------------------------------------------------------------------------------------------


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


@cache
def _version() -> str:
    return metadata.version("mesh-assets")


def _plain(event: "event_v2.RunEvent") -> Json:
    from openlineage.client.serde import Serde

    found = Serde.to_dict(event)
    _sign(found, f"pkg:pypi/mesh-assets@{_version()}")
    return found


def _sign(value: object, producer: str) -> None:
    """Say who has made it: the library knows one producer per process, and it may not be us."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("producer", "_producer") and isinstance(inner, str):  # a column of that name is no text
                value[key] = producer
            else:
                _sign(inner, producer)
    elif isinstance(value, list):
        for inner in value:
            _sign(inner, producer)
