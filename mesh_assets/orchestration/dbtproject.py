"""A domain's dbt project, run by dbt itself: parsed once per content, built wherever the caller says."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh_assets.errors import ConfigError, Place, Problem, RunError
from mesh_assets.lake import Lake
from mesh_assets.lake.extensions import extension_folder

IGNORED = ("target", "logs", "dbt_packages", ".user.yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class DbtTest:
    """One test of a dbt project, attached to the model that it is about."""

    id: str
    name: str
    model: str
    column: str
    severity: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DbtResult:
    """What dbt said of one model or test."""

    id: str
    status: str  # success, pass, warn, fail, error, skipped
    failures: int
    message: str
    sql: str


@dataclass(frozen=True, slots=True)
class DbtProject:
    """A folder with a dbt_project.yml, and where its parsed form is kept.

    Attributes:
        folder: Written by its team; nothing is written there.
        cache: One folder per content of the project.
    """

    folder: Path
    cache: Path

    def manifest(self) -> dict:
        """Dbt's own account of the project. Parsing takes seconds, so it is kept by a hash of the project's files.

        Raises:
            ConfigError: dbt cannot read the project; its words are passed on.
        """
        kept = self.cache / self.content()
        path = kept / "manifest.json"
        if not path.is_file():
            fresh = self.cache / f".{kept.name}.{os.getpid()}"
            self._parse(fresh)
            for old in (item for item in self.cache.iterdir() if item.is_dir() and not item.name.startswith(".")):
                shutil.rmtree(old, ignore_errors=True)
            try:
                fresh.rename(kept)
            except OSError:  # another process was quicker
                shutil.rmtree(fresh, ignore_errors=True)
        return json.loads(path.read_text(encoding="utf-8"))

    def tests(self) -> tuple[DbtTest, ...]:
        """The project's tests of its own models, in the order of their names; tests of its sources are their owners'."""
        nodes = self.manifest()["nodes"]
        models = {key: node["name"] for key, node in nodes.items() if node["resource_type"] == "model"}
        found = []
        for key, node in sorted(nodes.items()):
            about = node.get("attached_node") or next(iter(node["depends_on"]["nodes"]), "")
            if node["resource_type"] == "test" and about in models:
                found.append(_test(key, node, models[about]))
        return tuple(found)

    def content(self) -> str:
        """A hash of every file that dbt reads, by name and content."""
        whole = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            relative = path.relative_to(self.folder)
            if path.is_file() and not any(part in IGNORED for part in relative.parts):
                whole.update(f"{relative}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
        return whole.hexdigest()[:24]

    def build(self, lake: Lake, models: Sequence[str], target: Path) -> dict[str, DbtResult]:
        """`dbt build` of these models and their tests, in `lake`.

        Returns:
            By dbt's unique id; also of what failed.

        Raises:
            RunError: dbt itself could not run.
        """
        select = ["--select", *models, "--indirect-selection", "buildable"]
        done = self._dbt(["build", *select], lake, target)
        results = target / "run_results.json"
        if not results.is_file():
            raise RunError(f"dbt could not build {self.folder.name}:\n{_tail(done)}")
        said = json.loads(results.read_text(encoding="utf-8"))["results"]
        return {item["unique_id"]: _result(item) for item in said}

    def _parse(self, target: Path) -> None:
        done = self._dbt(["parse"], None, target)
        if done.returncode != 0 or not (target / "manifest.json").is_file():
            where = Place(str(self.folder / "dbt_project.yml"))
            what = f"dbt cannot read this project:\n{_tail(done)}"
            raise ConfigError(problems=[Problem("M311", what, where, "`dbt parse` in its folder says the same.")])

    def _dbt(self, words: Sequence[str], lake: Lake | None, target: Path) -> subprocess.CompletedProcess[str]:
        target.mkdir(parents=True, exist_ok=True)
        profile = target / "profiles.yml"
        profile.write_text(json.dumps(self._profile(lake)), encoding="utf-8")
        profile.chmod(0o600)
        extensions = extension_folder(self.cache / "extensions", *(lake.catalog.extensions if lake else ()))
        environment = {
            **_inherited(),
            **(lake.catalog.environment() if lake else {}),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "0",
            "MESH_DBT_ATTACH": f"ducklake:{lake.catalog.uri}" if lake else "",
            "MESH_DBT_EXTENSIONS": str(extensions),
        }
        place = ["--project-dir", self.folder, "--profiles-dir", target, "--target-path", target, "--log-path", target]
        command = [Path(sys.prefix) / "bin" / "dbt", "--no-use-colors", *words, *place]
        return subprocess.run(  # noqa: S603 - dbt of our own environment, on a folder of the mesh
            list(map(str, command)), env=environment, capture_output=True, text=True, check=False, cwd=target
        )

    def _profile(self, lake: Lake | None) -> dict:
        """Ours, not the project's: the library decides where is built."""
        import yaml

        project = yaml.safe_load((self.folder / "dbt_project.yml").read_text(encoding="utf-8"))
        attach = {"path": "{{ env_var('MESH_DBT_ATTACH') }}", "alias": "mesh", "is_ducklake": True}
        output = {
            "type": "duckdb",
            "path": ":memory:",
            "database": "mesh" if lake else "memory",
            "schema": self.folder.name,
            "threads": 1,  # two writers of one SQLite catalog refuse each other
            "config_options": {"extension_directory": "{{ env_var('MESH_DBT_EXTENSIONS') }}"},
            "attach": [attach | ({"options": dict(lake.catalog.options)} if lake.catalog.options else {})]
            if lake
            else [],
        }
        return {str(project.get("profile") or project["name"]): {"target": "mesh", "outputs": {"mesh": output}}}


def _inherited() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}


def _test(key: str, node: Mapping, model: str) -> DbtTest:
    config = node.get("config", {})
    return DbtTest(
        id=key,
        name=node["name"],
        model=model,
        column=node.get("column_name") or "",
        severity=str(config.get("severity") or "error").lower(),
        description=node.get("description") or "",
    )


def _result(item: Mapping) -> DbtResult:
    return DbtResult(
        id=item["unique_id"],
        status=item["status"],
        failures=int(item.get("failures") or 0),
        message=item.get("message") or "",
        sql=(item.get("compiled_code") or "").strip(),
    )


def _tail(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return "\n".join(lines[-12:])
