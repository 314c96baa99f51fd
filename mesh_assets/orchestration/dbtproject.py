"""A domain's dbt project, run by dbt itself: parsed once per content, built wherever the caller says."""

import atexit
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from mesh_assets.environment import MANIFEST, PARSED
from mesh_assets.errors import ConfigError, Problem, RunError
from mesh_assets.lake import Lake
from mesh_assets.lake.catalog import SqliteCatalog
from mesh_assets.lake.extensions import extension_folder
from mesh_assets.orchestration import dbtwords

NOWHERE = SqliteCatalog(Path("..")).forked(Path("..")).uri
"""How dbt is told of an embedded fork, from a folder in it; there is none when a project is only parsed."""
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
    own: Mapping[str, Any] = field(default_factory=dict)  # when it began, and its seconds, where dbt says so


@dataclass(frozen=True, slots=True)
class Said:
    """How a call of dbt ended, what it printed, and what it raised."""

    code: int
    text: str
    raised: str = ""


class DbtProcess:
    """Dbt, imported once for all calls of this process; see `dbtprocess`. Calls wait for each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._has_rested = False

    def call(self, words: Sequence[str], environment: Mapping[str, str], folder: Path) -> Said:
        """Run `dbt WORDS` in a folder, with nothing but this environment.

        Raises:
            RunError: dbt's process was ended from outside.
        """
        said = folder / "said.txt"
        call = {"words": list(words), "environment": dict(environment), "folder": str(folder), "output": str(said)}
        with self._lock:
            # One that nobody has asked for long ends by itself, which takes a while: what was just said to it, it has not heard.
            answer = self._answer(call) or (self._answer(call) if self._has_rested else "")
        text = said.read_text(encoding="utf-8", errors="replace") if said.is_file() else ""
        if not answer:
            raise RunError(f"dbt was ended from outside\n{text[-2_000:]}\n    Nothing was published; run again.")
        printed, _, raised = text.partition("\f")
        return Said(int(answer), printed, raised.strip())

    def _answer(self, call: Mapping[str, object]) -> str:
        """What the process says to a call; nothing when it has ended."""
        asks, answers = self._pipes()
        try:
            print(json.dumps(call), file=asks, flush=True)
            answer = answers.readline()
        except BrokenPipeError:
            answer = ""
        except BaseException:  # interrupted: what it computes nobody waits for, and its answer would be the next call's
            self._kill()
            raise
        if not answer:
            process = self._process
            self.end()
            self._has_rested = process is not None and process.returncode == 0
        return answer

    def end(self) -> None:
        """End the process that waits for calls."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():  # a fork of the process that started it has no part in it
            return
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                cast(IO, pipe).close()
        process.wait()

    def _kill(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.end()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            self.end()
            command = [sys.executable, "-P", str(Path(__file__).with_name("dbtprocess.py"))]
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and script
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
            self._owner = os.getpid()
        return cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)


PROCESS = DbtProcess()
atexit.register(PROCESS.end)


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
        path = kept / MANIFEST
        if not path.is_file():
            fresh = self.cache / f".{kept.name}.{os.getpid()}"
            self._start_from(self._last(), fresh)
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
        self._start_from(self.cache / self.content() / PARSED, target)
        done = self._dbt(["build", *select], lake, target)
        results = target / "run_results.json"
        if not results.is_file():
            where, said = dbtwords.at_fault(self.folder, done.raised or _tail(done))
            raise RunError(f"{where}: dbt could not build {self.folder.name}: {said}")
        said = json.loads(results.read_text(encoding="utf-8"))["results"]
        return {item["unique_id"]: _result(item) for item in said}

    def _last(self) -> Path:
        """What was kept of the project as it was before; dbt itself tells what has changed since."""
        kept = self.cache.glob(f"[!.]*/{PARSED}")
        return max(kept, key=lambda path: path.stat().st_mtime, default=self.cache / PARSED)

    @staticmethod
    def _start_from(kept: Path, target: Path) -> None:
        """Let dbt parse only what differs from this; it leaves aside what it cannot use, and then parses everything."""
        target.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # none, or removed meanwhile
            shutil.copyfile(kept, target / PARSED)

    def _parse(self, target: Path) -> None:
        done = self._dbt(["parse"], None, target)
        if done.code != 0 or not (target / MANIFEST).is_file():
            where, said = dbtwords.at_fault(self.folder, done.raised or _tail(done))
            mend = "Mend it there; `dbt parse` in the project's folder says the same."
            raise ConfigError(problems=[Problem("M311", f"dbt cannot read this: {said}", where, mend)])

    def _dbt(self, words: Sequence[str], lake: Lake | None, target: Path) -> "Said":
        target.mkdir(parents=True, exist_ok=True)
        profile = target / "profiles.yml"
        profile.write_text(json.dumps(self._profile(lake)), encoding="utf-8")
        profile.chmod(0o600)
        extensions = extension_folder(self.cache / "extensions", *(lake.catalog.extensions if lake else ()))
        environment = {
            **_inherited(),
            **(lake.catalog.environment() if lake else {}),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "0",
            # Python counts what dbt leaves behind when it is broken off, and tells whoever reads along.
            "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
            "MESH_DBT_ATTACH": f"ducklake:{lake.catalog.uri_from(target) if lake else NOWHERE}",
            "MESH_DBT_EXTENSIONS": str(extensions),
        }
        place = ["--project-dir", self.folder, "--profiles-dir", target, "--target-path", target, "--log-path", target]
        return PROCESS.call(["--no-use-colors", *words, *map(str, place)], environment, target)

    def _profile(self, lake: Lake | None) -> dict:
        """Ours, not the project's: the library decides where is built.

        It is the same for parsing as for building in an embedded lake: dbt parses everything anew for another one.
        """
        import yaml

        project = yaml.safe_load((self.folder / "dbt_project.yml").read_text(encoding="utf-8"))
        options = dict(lake.catalog.options if lake else SqliteCatalog.options)
        attach = {"path": "{{ env_var('MESH_DBT_ATTACH') }}", "alias": "mesh", "is_ducklake": True}
        output = {
            "type": "duckdb",
            "path": ":memory:",
            "database": "mesh",
            "schema": self.folder.name,
            "threads": 1,  # two writers of one SQLite catalog refuse each other
            "config_options": {"extension_directory": "{{ env_var('MESH_DBT_EXTENSIONS') }}"},
            "attach": [attach | ({"options": options} if options else {})],
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
        own=_own(item),
    )


def _own(item: Mapping) -> Mapping[str, Any]:
    """When dbt began a node, and how long it took; a node that it skipped has no times."""
    times = [one["started_at"] for one in item.get("timing") or () if one.get("started_at")]
    if not times or item.get("execution_time") is None:
        return {}
    began = min(datetime.fromisoformat(text) for text in times)
    began = began if began.tzinfo else began.replace(tzinfo=UTC)
    return {"start": began.isoformat(timespec="microseconds"), "seconds": round(float(item["execution_time"]), 3)}


def _tail(done: "Said") -> str:
    lines = [line for line in done.text.splitlines() if line.strip()]
    return "\n".join(lines[-12:])
