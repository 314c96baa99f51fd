"""The words of the mesh: domain, input port, output port, table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mesh_assets.contract import Contract
from mesh_assets.errors import Place


class OnFailure(StrEnum):
    """What a reader does with an input version that fails its own expectations."""

    STOP = "stop"  # do not run; own readers keep the last version
    HOLD = "hold"  # go on with the last admitted version, and say so
    WARN = "warn"  # take it


class Consistency(StrEnum):
    """Whether an input must be of the same generation as the others."""

    STRICT = "strict"
    LATEST = "latest"


class Load(StrEnum):
    """How a table's new rows meet its old ones."""

    FULL = "full"
    APPEND = "append"
    UPSERT = "upsert"


class Toolchain(StrEnum):
    """What builds a table."""

    SOURCE = "source"
    SQL = "sql"
    PYTHON = "python"
    DBT = "dbt"
    SUBPROCESS = "pipes.subprocess"
    DOCKER = "pipes.docker"
    K8S = "pipes.k8s"
    DATABRICKS = "pipes.databricks"
    NOTEBOOK = "notebook"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Who answers for a domain; `notify` names the channels of mesh.yaml that reach it, none: the mesh's own."""

    name: str
    owner: str = ""
    support: str = ""
    notify: tuple[str, ...] = ()
    where: Place = Place("")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPort:
    """Another domain's output port that a domain reads; `table` is `domain.table`."""

    table: str
    contract: Contract | None = None
    on_failure: OnFailure = OnFailure.STOP
    consistency: Consistency = Consistency.STRICT
    partition_mapping: "PartitionMapping | None" = None
    where: Place = Place("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Raw files of an operational system; they become the table `domain.<table>`.

    Attributes:
        pattern: Relative to the folder; `*`, `?` and `**` as in a shell.
        folder: Where the files are; None: in the domain's folder.
    """

    pattern: str
    table: str
    folder: Path | None = None
    contract: Contract | None = None
    where: Place = Place("")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPort:
    """A table that other domains may read; `table` is its bare name.

    Attributes:
        successor: Bare name of the port of the same domain that is its next major version; readers are to move there.
        sunset: ISO date of the last day on which it is promised to be there; empty: no day is said.
        engine: Where its rows stay and its tests are executed, `postgres` or `spark`; empty: in the lake.
    """

    table: str
    contract: Contract | None = None
    compatibility: str = "backward"
    successor: str = ""
    sunset: str = ""
    engine: str = ""
    where: Place = Place("")
    engine_where: Place = field(default=Place(""), compare=False, repr=False)

    @property
    def deprecated(self) -> bool:
        """Whether nobody should begin to read it."""
        return bool(self.successor or self.sunset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partitions:
    """Time partitions: rows belong to the partition that their value in `by` falls into."""

    every: str  # daily, weekly or monthly
    by: str
    start: str  # ISO date of the first partition


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionMapping:
    """From which partitions of an input those of a table are made: those it overlaps, and so many before and after them."""

    before: int = 0
    after: int = 0
    where: Place = field(default=Place(""), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Tables that are to be there by a time of day, with all that they are made of, in whatever domains.

    Attributes:
        name: As in mesh.yaml; of a domain's own, `domain/name`.
        delivers: `domain.table` of each.
        by: Time of day, `HH:MM`, in `time_zone`; empty: no deadline.
        time_zone: Of `by` and of `schedule`.
        schedule: Cron expression of five fields at which it is launched; empty: when somebody launches it.
    """

    name: str
    delivers: tuple[str, ...]
    title: str = ""
    by: str = ""
    time_zone: str = "UTC"
    schedule: str = ""
    where: Place = Place("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that builds a table, in any language: it is handed its inputs as files, and writes one.

    Attributes:
        command: Its words; the first is looked up as a shell does, or is a file of the domain.
        notebook: A Jupyter notebook that is executed instead; its path in the domain's folder.
        format: Of the files: `parquet`, `csv` or `jsonl`.
        env: Environment variables that it is given beside those that every program has.
        timeout: Seconds after which it is ended; 0: never.
        image: Of the container in which it runs, elsewhere.
        exchange: A folder that it sees from there, too: files are handed over below it. None: in the mesh's home.
        exchange_there: That folder as it is called there; empty: the same.
        client: More for the run of Dagster's Pipes client.
    """

    command: tuple[str, ...] = ()
    image: str = ""
    exchange: Path | None = None
    exchange_there: str = ""
    client: Mapping[str, object] = field(default_factory=dict)
    notebook: str = ""
    format: str = "parquet"
    env: tuple[str, ...] = ()
    timeout: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A table of a database that the mesh does not run; it is read, never written.

    Attributes:
        kind: `duckdb` or `postgres`.
        address: A path, or a connection string; `$NAME` alone stands for that environment variable.
        relation: The table or view, with its schema where it has one.
        changed_by: Column whose greatest value tells that something has changed; empty: all rows are compared.
        every: Seconds between two looks at it.
    """

    kind: str
    address: str = field(repr=False)
    relation: str
    changed_by: str = ""
    every: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A team's folder. `automation` is `eager`, `manual` or a cron expression; `part_of` the domain that it is a sub-domain of."""

    name: str
    path: Path
    part_of: str = ""
    title: str = ""
    purpose: str = ""
    team: Team = field(default_factory=lambda: Team(name=""))
    inputs: tuple[InputPort, ...] = ()
    sources: tuple[Source, ...] = ()
    outputs: tuple[OutputPort, ...] = ()
    automation: str = "eager"
    executor: str = "in_process"  # or multiprocess
    pipelines: tuple[Pipeline, ...] = ()
    where: Place = Place("")

    def input(self, table: str) -> InputPort | None:
        """The input port that reads `domain.table`, or None."""
        return next((port for port in self.inputs if port.table == table), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of a domain, whatever builds it.

    Attributes:
        name: `domain.table`, as in SQL; Dagster's key is `domain/table`.
        inputs: Names of the tables it reads, own and foreign, sorted; empty for a source.
        code: Hash of all the text that decides what is built.
        automation: The table's own, else its domain's.
        columns: Columns that a Python table has declared to read, by input; it is given no others.
        mappings: Of its partitions to those of its inputs, by input, where declared; else each is made from all of it.
        artifact: It holds files (columns `name`, `media_type`, `content`), one row each.
        expected_by: When it should be there, such as `Monday 09:00 Europe/Zurich`; empty: as its contract says.
        program: What builds it, where that is a program of its own.
        database: Where it is copied from, when somebody else keeps it there.
    """

    name: str
    toolchain: Toolchain
    inputs: tuple[str, ...] = ()
    contract: Contract | None = None
    source: Source | None = None
    load: Load = Load.FULL
    key: tuple[str, ...] = ()
    partitions: Partitions | None = None
    mappings: Mapping[str, PartitionMapping] = field(default_factory=dict)
    automation: str = "eager"
    expected_by: str = ""
    artifact: bool = False
    port: OutputPort | None = None
    code: str = ""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    program: Program | None = None
    database: Database | None = None
    path: Path = Path()
    where: Place = Place("")

    @property
    def engine(self) -> str:
        """Where its rows stay: the mesh tests them there, and has none of its own. Empty: in the lake."""
        return self.port.engine if self.port else ""

    @property
    def watched(self) -> bool:
        """Whether it begins outside of the mesh: what it holds changes without anything here."""
        return self.toolchain in (Toolchain.SOURCE, Toolchain.EXTERNAL)

    @property
    def closed_partitions(self) -> bool:
        """Whether it is built for partitions that are over only: a function brings Dagster's own definition, which says so."""
        return self.toolchain is Toolchain.PYTHON

    @property
    def references(self) -> tuple[str, ...]:
        """Tables that its tests compare it with, beside its inputs: they are built before it, and are no reason to build it."""
        if self.contract is None:
            return ()
        named = {str(test.arguments["to_table"]) for test in self.contract.tests if "to_table" in test.arguments}
        return tuple(sorted(named - {self.name, *self.inputs}))

    @property
    def domain(self) -> str:
        """Name of the domain that owns it."""
        return self.name.partition(".")[0]

    @property
    def short(self) -> str:
        """Its name within the domain."""
        return self.name.partition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeConfig:
    """Where the lake is. Empty: embedded, under the mesh's home.

    Attributes:
        catalog: `sqlite:PATH` or `postgres:LIBPQ CONNECTION STRING`; may hold a password, so it is never shown.
        data: Folder or URL of the Parquet files.
        schema: PostgreSQL schema that holds the catalog.
    """

    catalog: str = field(default="", repr=False)
    data: str = ""
    schema: str = "mesh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A way to reach people, as mesh.yaml says it. Secrets are named, never held: `…_env` are environment variables.

    Attributes:
        kind: `webhook`, `slack` or `email`.
        url_env: Where the address of a webhook is.
        token_env: Where the token of a Slack app is: it writes to the channel `to`, through Slack's API at `api`.
        host: Of the mail server; with `port`, `tls` (`none`, `starttls`, `tls`), `sender`, and who signs in.
        to: Whom an e-mail reaches; empty: the owner of the team. Of Slack, the channel.
    """

    name: str
    kind: str
    url_env: str = ""
    host: str = ""
    port: int = 0
    tls: str = "starttls"
    sender: str = ""
    user_env: str = ""
    password_env: str = ""
    to: str = ""
    token_env: str = ""
    api: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLineage:
    """Where events of OpenLineage are sent, as mesh.yaml says it; a secret is named, never held.

    Attributes:
        url: Of the service; empty: it is in the environment variable `url_env`.
        api_key_env: The environment variable that holds the key; empty: it asks for none.
        endpoint: The path below the address that takes events.
        job_namespace: Of jobs; empty: the mesh's name.
        table_namespace: Of the mesh's tables; empty: made of the lake's address.
    """

    url: str = ""
    url_env: str = ""
    api_key_env: str = ""
    endpoint: str = "api/v1/lineage"
    job_namespace: str = ""
    table_namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Everything that the files say, checked: what the rest of the library works on.

    Attributes:
        domains: By name, in the order of the names.
        tables: By `domain.table`, upstream before downstream.
        broken: Domains that could not be loaded, with what is wrong: by name, a tuple of problems.
        repository: Where the code can be looked at, with `{commit}` and `{path}` in it; empty: nowhere.
        secrets: Environment variables that are production's: to the one that takes its place in a kitchen, or to nothing.
        mask: Tags and classifications of columns whose values are masked in a kitchen.
        pipelines: The mesh's own and those of its domains, by name; without those that deliver a table which is not there.
        left_out: What is wrong with the pipelines of mesh.yaml that could not be loaded: problems.
        warnings: What works, and may be meant otherwise: problems that stop nothing.
        channels: By name, how people are told of incidents; `notify` are those of a team that names none.
        openlineage: Where lineage is sent; None: nowhere.
        drafts: Its domains as they were read, before the rules: for another mesh that has most of them in common.
    """

    name: str
    root: Path
    title: str = ""
    repository: str = ""
    lake: LakeConfig = field(default_factory=LakeConfig)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    broken: Mapping[str, tuple] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    mask: tuple[str, ...] = ()
    pipelines: Mapping[str, Pipeline] = field(default_factory=dict)
    left_out: tuple = ()
    warnings: tuple = ()
    channels: Mapping[str, Channel] = field(default_factory=dict)
    notify: tuple[str, ...] = ()
    openlineage: OpenLineage | None = None
    drafts: tuple = field(default=(), repr=False, compare=False)

    def within(self, domain: str) -> tuple[str, ...]:
        """The domains that one is a sub-domain of, the outermost first; empty for most."""
        found: list[str] = []
        while domain in self.domains and (domain := self.domains[domain].part_of) and domain not in found:
            found.insert(0, domain)
        return tuple(found)

    def parts(self, domain: str) -> tuple[str, ...]:
        """The sub-domains of a domain at every depth, sorted; empty for most."""
        # Asked for every domain of a page: most are part of nothing.
        return tuple(name for name, one in self.domains.items() if one.part_of and domain in self.within(name))

    def domain_of(self, word: str) -> str:
        """The domain that a person means: by its name, or by its way (`pharma.launch`, `pharma/launch`); empty where it is none."""
        *outer, name = word.replace("/", ".").split(".")
        if name not in self.domains and (outer or name not in self.broken):
            return ""
        within = self.within(name)
        return name if list(within[len(within) - len(outer) :]) == outer else ""

    def port(self, reader: str, table: str) -> InputPort | None:
        """The input port through which domain `reader` reads a foreign table; None for its own tables."""
        return self.domains[reader].input(table) if reader in self.domains else None
