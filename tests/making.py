"""Small meshes for tests: written as text, run as a person runs them."""

import gc
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesh_assets import catalog, testing
from mesh_assets.environment import Environment
from mesh_assets.mesh import read_mesh
from mesh_assets.running import run_mesh
from mesh_assets.settings import Settings


class Quiet:
    """Progress that nobody watches."""

    def starting(self) -> None:
        """Nothing is shown."""

    def __call__(self, env: Environment, run: str, tables: Sequence[str]) -> None:
        """Nothing is shown."""

    def done(self) -> None:
        """Nothing was shown."""


@dataclass
class Place:
    """A mesh in a folder, with the commands as methods."""

    root: Path
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.root / ".mesh", dir=self.root, lake_catalog="", lake_data="")
        if not (self.root / "mesh.yaml").exists():
            self.write("mesh.yaml", "mesh: test\n")

    def copied(self, root: Path) -> "Place":
        """The same mesh, with what was built of it, in a folder of its own."""
        gc.collect()  # the last connection to a database tidies it up as it is forgotten, which must not be while it is copied
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return Place(root)

    def write(self, path: str, text: str) -> Path:
        """Write a file of the mesh; the text is dedented."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return target

    def domain(self, name: str, text: str = "", **files: str) -> None:
        """Write a domain: its `domain.yaml` below the fixed lines, and its files by path (`__` for `/`)."""
        head = f"domain: {name}\ntitle: {name.title()}\npurpose: Tests.\nteam: {{name: {name}, owner: {name}@example.com}}\n"
        self.write(f"domains/{name}/domain.yaml", head + textwrap.dedent(text))
        for path, content in files.items():
            self.write(f"domains/{name}/{path}", content)

    def sql(self, table: str, query: str) -> None:
        """Write a SQL table, named `domain.table`."""
        domain, _, short = table.partition(".")
        self.write(f"domains/{domain}/sql/{short}.sql", query)

    def contract(self, table: str, columns: Mapping[str, str], *, name: str = "", quality: str = "") -> None:
        """Write a contract: column to `type`, or to YAML lines of its own below the type (`type; required: true`)."""
        domain, _, short = table.partition(".")
        lines = [
            "apiVersion: v3.1.0", "kind: DataContract", f"id: {domain}-{name or short}", "version: 1.0.0", "status: active",
            "schema:", f"  - name: {short}", "    properties:",
        ]  # fmt: skip
        for column, said in columns.items():
            kind, *rest = [part.strip() for part in said.split(";")]
            lines += [
                f"      - name: {column}",
                f"        logicalType: {_logical(kind)}",
                f"        physicalType: {kind}",
            ]
            lines += [f"        {line}" for line in rest]
        if quality:
            lines += ["    quality:", textwrap.indent(textwrap.dedent(quality).strip(), "      ")]
        self.write(f"domains/{domain}/contracts/{name or short}.odcs.yaml", "\n".join(lines) + "\n")

    def env(self, *, tolerant: bool = False) -> Environment:
        """The environment, read anew from the files."""
        return Environment.open(read_mesh(self.root, tolerant=tolerant), self.settings)

    def run(self, *names: str, downstream: bool = False, force: bool = False) -> dict:
        """`mesh run --json`."""
        env = self.env(tolerant=True)
        return run_mesh(env, names, downstream=downstream, force=force, settings=self.settings, progress=Quiet())

    def statuses(self, *names: str, **options: bool) -> dict[str, str]:
        """What `mesh run` says of each table."""
        return {row["table"]: row["status"] for row in self.run(*names, **options)["tables"]}

    def test(self, *names: str) -> list[dict]:
        """The tests that `mesh test --json` lists."""
        env = self.env()
        return list(testing.test(env, catalog.named(env.mesh, names)))

    def rows(self, query: str, *, at: int | None = None) -> list[tuple]:
        """`mesh sql`."""
        return self.env().lake.sql(query, at=at)[1]

    def version(self, table: str) -> int:
        """The version that readers of a table get."""
        env = self.env()
        env.sync()
        return env.ledger.versions()[table].version

    def states(self, count: int) -> dict[str, int]:
        """The `state` that every table tells; each must tell one, in all of its so many rows."""
        found = {}
        for table in self.env().lake.tables():
            rows, least, most = self.rows(f"select count(*), min(state), max(state) from {table}")[0]
            assert (rows, least) == (count, most), table
            found[table] = least
        return found


def _logical(kind: str) -> str:
    word = kind.split("(", maxsplit=1)[0].upper()
    words = {"VARCHAR": "string", "DATE": "date", "BOOLEAN": "boolean", "TIMESTAMP": "timestamp"}
    return words.get(word, "number" if word in ("DECIMAL", "DOUBLE", "FLOAT") else "integer")


def launch(place: Place, domain: str, *assets: str, tags: Mapping[str, str] | None = None) -> bool:
    """Materialise assets (`a/b`, `a/in/b__c`) as a person does in Dagster, from the code location of one domain.

    Returns:
        Whether the run succeeded.
    """
    import dagster as dg

    from mesh_assets.orchestration.instance import open_instance
    from mesh_assets.orchestration.load import load

    definitions = load(place.root, only=domain, settings=place.settings).definitions
    chosen = {dg.AssetKey(name.split("/")) for name in assets}
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=chosen)
    with open_instance(place.root / ".mesh") as instance:
        return job.execute_in_process(instance=instance, raise_on_error=False, tags=dict(tags or {})).success
