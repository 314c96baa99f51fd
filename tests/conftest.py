"""What tests share: a PostgreSQL server of their own, and lakes on both kinds of catalog."""

import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_assets.domain import LakeConfig
from mesh_assets.lake import Lake

PASSWORD = "correct-horse-battery"


IN_MEMORY = Path("/dev/shm")
ROOM = 6 * 1024**3
"""Bytes that a run of all tests may need there."""


def pytest_configure() -> None:
    """Temporary folders are in memory where there is room: most of a test's time would be waiting for the disk."""
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(IN_MEMORY)


LONG = (
    "tests/e2e/",
    "tests/shipped/",
    "test_kitchen",
    "test_cli.py",
    "test_dbt.py",
    "test_cut_off.py",
    "test_lake_processes.py",
    "test_bad_input.py",
    "property/test_order.py",
    "test_backfills.py",
    "test_incremental.py",
    "browser/",
    "test_ports.py",
    "test_lake_forks.py",
    "test_account.py",
)
"""Files that take minutes: they come first, so that no worker is left alone with one at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within each, the order that there was."""
    items.sort(key=lambda item: next((place for place, name in enumerate(LONG) if name in item.nodeid), len(LONG)))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def missing(what: str) -> None:
    """Skip on a person's machine, fail in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing; `make system` installs it")
    pytest.skip(f"{what} is missing; `make system` installs it")


def postgres_programs() -> Path | None:
    """Debian's PostgreSQL, the newest."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Server:
    """A PostgreSQL server that can be stopped and started again.

    It runs as an unprivileged user, for `initdb` refuses root; so its folder cannot be under pytest's, which is root's alone.
    The folder's name is short, for a socket's path has at most 107 bytes.
    """

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.home = Path(subprocess.check_output(["mktemp", "-d", "-t", "meshpg.XXXXXX"], text=True).strip())
        self.port = free_port()
        self.as_user: list[str] = []
        secret = self.home / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            self.as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            for path in (self.home, secret):
                shutil.chown(path, "nobody", "nogroup")
        self._run(
            "initdb",
            "-U",
            "mesh",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )
        self.start()

    @property
    def conninfo(self) -> str:
        """A libpq connection string, with the password."""
        return f"host=127.0.0.1 port={self.port} user=mesh password={PASSWORD} dbname=postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        flags = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.home} -c max_connections=60"
        flags += " -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
        self._run("pg_ctl", "-w", "-l", str(self.home / "log"), "-o", flags, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it, whoever is connected; `immediate` loses what was not on disk yet."""
        self._run("pg_ctl", "-m", mode, "stop")

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.stop("immediate")
        shutil.rmtree(self.home)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.as_user, str(self.programs / program), "-D", str(self.home / "data"), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.home)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Connection string of a PostgreSQL server of this session's own (one per xdist worker)."""
    programs = postgres_programs()
    if programs is None:
        missing("PostgreSQL")
    server = Server(programs)
    try:
        yield server.conninfo
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def lake_config(request: pytest.FixtureRequest, tmp_path: Path) -> LakeConfig:
    """Where a fresh lake may be, on each kind of catalog."""
    if request.param == "sqlite":
        return LakeConfig()
    conninfo = request.getfixturevalue("postgres")
    return LakeConfig(
        catalog=f"postgres:{conninfo}", data=str(tmp_path / "data"), schema=f"lake_{uuid.uuid4().hex[:8]}"
    )


@pytest.fixture
def lake(tmp_path: Path, lake_config: LakeConfig) -> Iterator[Lake]:
    """An empty lake, on each kind of catalog."""
    made = Lake(tmp_path / "home", lake_config)
    made.create()
    yield made
    made.close()
    if lake_config.catalog:
        made.catalog.remove()


@pytest.fixture
def polars_looks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """At texts of any number, as it does where there are very many."""
    from mesh_assets.audit import texts

    for name in ("LOADED", "MANY", "PER_FILE"):
        monkeypatch.setattr(texts, name, 1)


@pytest.fixture
def sqlite_lake(tmp_path: Path) -> Iterator[Lake]:
    """An empty lake, embedded; for tests to which the catalog does not matter."""
    made = Lake(tmp_path / "home")
    made.create()
    yield made
    made.close()
