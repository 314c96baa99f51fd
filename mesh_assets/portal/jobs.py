"""Work that a page asks for: a `mesh` command in a process of its own, with a page that tells how far it is."""

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from mesh_assets.environment import Environment
from mesh_assets.errors import MeshError, UsageError
from mesh_assets.ledger import process_started
from mesh_assets.store import now

_schema = sa.MetaData()
_jobs = sa.Table(
    "portal_jobs",
    _schema,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("words", sa.JSON, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False, index=True),
    sa.Column("process", sa.Text, nullable=False),
    sa.Column("ended", sa.Text, nullable=False),
    sa.Column("code", sa.Integer),
    sa.Column("output", sa.Text, nullable=False),
)
_followed: set[str] = set()
"""Jobs that a thread of this process listens to."""
MOST = 3
"""Jobs at a time."""
KEPT = 60_000
"""Characters of what a command said."""
SAID = {
    0: "done",
    1: "a test failed, or a table is held",
    2: "a file of the mesh says something it must not",
    3: "it could not run",
}


class Busy(UsageError):  # noqa: N818 - what it is
    """As many jobs run as may run at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work.

    Attributes:
        words: Of the command, after `mesh`.
        about: Path of the page that it was asked for on.
        state: `running`, `done`, `failed` or `cut off`.
    """

    id: str
    title: str
    words: Sequence[str]
    about: str
    by: str
    at: str
    ended: str
    code: int | None
    output: str
    state: str

    def as_json(self) -> dict[str, Any]:
        """For the API, and for its page."""
        said = SAID.get(self.code, "it failed") if self.code is not None else ""
        return {
            "schema_version": 1, "id": self.id, "title": self.title, "command": "mesh " + " ".join(self.words),
            "about": self.about, "by": self.by, "at": self.at, "ended": self.ended, "exit_code": self.code,
            "state": self.state, "said": said, "output": self.output,
        }  # fmt: skip


def start(env: Environment, title: str, words: Sequence[str], *, about: str, by: str) -> str:
    """Begin, and say under which id it is followed. The same work that is going on already is not begun twice.

    Raises:
        Busy: Too much is going on.
    """
    env.ledger.store.ensure(_schema)
    going = [job for job in recent(env) if job.state == "running"]
    if same := next((job for job in going if list(job.words) == list(words)), None):
        return same.id
    if len(going) >= MOST:
        raise Busy(
            f"{len(going)} jobs are running\n    Wait until one has ended: {', '.join(job.title for job in going)}."
        )
    settings = {"MESH_HOME": str(env.home), "MESH_DIR": str(env.mesh.root), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(  # noqa: S603 - our own interpreter; the words are names of the mesh
        [sys.executable, "-m", "mesh_assets.cli", *words, "--mesh", str(env.mesh.root)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace",
        cwd=env.mesh.root, env={**os.environ, **settings}, start_new_session=True,
    )  # fmt: skip
    job = uuid.uuid4().hex[:12]
    row = {
        "id": job, "title": title, "words": list(words), "about": about, "by": by, "at": now(), "ended": "", "code": None,
        "process": f"{process.pid}|{process_started(process.pid)}", "output": "",
    }  # fmt: skip
    with env.ledger.store.writing() as db:
        db.execute(_jobs.insert().values(**row))
    _followed.add(job)
    threading.Thread(target=_follow, args=(env, job, process), daemon=True).start()
    return job


def note(env: Environment, title: str, *, about: str, by: str, output: str) -> str:
    """Keep something that is done as soon as it is asked, with a page of its own."""
    env.ledger.store.ensure(_schema)
    job = uuid.uuid4().hex[:12]
    row = {"id": job, "title": title, "words": [], "about": about, "by": by, "at": now(), "ended": now(), "code": 0}
    with env.ledger.store.writing() as db:
        db.execute(_jobs.insert().values(**row, process="", output=output))
    return job


def find(env: Environment, job: str) -> Job | None:
    """One of them."""
    env.ledger.store.ensure(_schema)
    followed = frozenset(_followed)
    with env.ledger.store.reading() as db:
        row = db.execute(sa.select(_jobs).where(_jobs.c.id == job)).first()
    return _job(row._asdict(), followed) if row else None


def recent(env: Environment, limit: int = 50, *, about: Collection[str] | None = None) -> tuple[Job, ...]:
    """The newest, or the newest about these pages."""
    env.ledger.store.ensure(_schema)
    where = [_jobs.c.about.in_(about)] if about is not None else []
    followed = frozenset(_followed)
    with env.ledger.store.reading() as db:
        rows = db.execute(sa.select(_jobs).where(*where).order_by(_jobs.c.at.desc()).limit(limit)).all()
    return tuple(_job(row._asdict(), followed) for row in rows)


def _follow(env: Environment, job: str, process: "subprocess.Popen[str]") -> None:
    try:
        _listen(env, job, process)
    finally:
        _followed.discard(job)


def _listen(env: Environment, job: str, process: "subprocess.Popen[str]") -> None:
    said = ""
    with process, suppress(MeshError):  # a ledger that is away: the page says that the job was cut off
        for line in process.stdout or ():
            said = (said + line)[-KEPT:]
            _keep(env, job, output=without_paths(env, said))
        code = process.wait()
        _keep(env, job, output=without_paths(env, said), ended=now(), code=code)


def _keep(env: Environment, job: str, **values: object) -> None:
    with env.ledger.store.writing() as db:
        db.execute(_jobs.update().where(_jobs.c.id == job).values(**values))


def without_paths(env: Environment, text: str) -> str:
    """What a command said, without where on this machine it was said."""
    for folder in sorted({str(env.home), str(env.mesh.root)}, key=len, reverse=True):
        text = text.replace(f"{folder}/", "").replace(folder, ".")
    return text.replace(sys.prefix, "…")


def _job(row: Mapping[str, Any], followed: frozenset[str]) -> Job:
    """A job as it was read; `followed` are those that this process followed just before: they end with a record."""
    values = {key: row[key] for key in ("id", "title", "about", "by", "at", "ended", "code", "output")}
    words = row["words"] if isinstance(row["words"], list) else json.loads(row["words"])
    return Job(**values, words=words, state=_state(row, followed))


def _state(row: Mapping[str, Any], followed: frozenset[str]) -> str:
    if row["ended"]:
        return "done" if row["code"] == 0 else "failed"
    if row["id"] in followed:  # between its end and the record of it, too
        return "running"
    pid, _, started = str(row["process"]).partition("|")
    return "running" if pid and process_started(int(pid)) == started else "cut off"
