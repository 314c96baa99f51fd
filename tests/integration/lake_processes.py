"""What the processes of the lake's tests do; run as a script: `lake_processes.py WHAT '{"home": …, …}'`, JSON lines on stdout."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from mesh_assets.domain import LakeConfig
from mesh_assets.errors import MeshError
from mesh_assets.lake import Lake, Publication

#: How this process was told to open the lake.
CONFIG: list[LakeConfig] = []


def say(**values: object) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def publish(lake: Lake, con: object, tables: dict[str, str], run: str) -> int:
    staged = [Publication(staged=lake.stage(con, table, query), record={}) for table, query in tables.items()]
    return lake.publish(con, staged, run=run, pin=0)


def write(lake: Lake, *, name: str, times: int) -> None:
    """Publish own tables so many times."""
    with lake.session() as con:
        for i in range(times):
            started = time.perf_counter()
            version = publish(
                lake, con, {f"{name}.t{i % 3}": f"SELECT {i} AS i FROM range({i % 3})"}, run=f"{name}-{i}"
            )
            say(version=version, seconds=time.perf_counter() - started)


def read(lake: Lake, *, until: str) -> None:
    """Read everything at one version again and again until a file appears; the answers must be the same each time."""
    longest, reads, changed = 0.0, 0, 0
    while not Path(until).exists():
        version = lake.head()
        answers = []
        for _ in range(2):
            started = time.perf_counter()
            with lake.session() as con:
                tables = lake.tables(version)
                answers.append(
                    [
                        con.execute(f"SELECT count(*), sum(i) FROM {lake.relation(t, version)}").fetchall()
                        for t in tables
                    ]
                )
            longest = max(longest, time.perf_counter() - started)
        reads += 1
        changed += answers[0] != answers[1]
        time.sleep(0.1)
    say(reads=reads, changed=changed, longest=longest)


def survive(lake: Lake, *, kills: int, seed: int) -> None:
    """Start a writer of two tables, kill it at a random moment of one of its publishes, start the next.

    Says which versions the writers were told of, and how many publishes were cut short.
    """
    chance = random.Random(seed)
    told: list[int] = []
    usual, cut = 0.05, 0
    for life in range(kills):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            publish_for_ever(lake, life, writer)
        os.close(writer)
        with os.fdopen(reader) as answers:
            for _ in range(chance.randint(0, 2)):
                answers.readline()
                started = time.perf_counter()
                told.append(int(answers.readline()))
                usual = time.perf_counter() - started
            answers.readline()
            time.sleep(chance.uniform(0, usual))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            rest = answers.read().splitlines()
            told += [int(line) for line in rest if line != "begin"]
            cut += not rest or rest[-1] == "begin"
    say(told=told, cut=cut)


def publish_for_ever(lake: Lake, life: int, pipe: int) -> None:
    with lake.session() as con:
        for i in range(10_000):
            rows = f"SELECT {life * 10_000 + i} AS n FROM range({1 + i % 3})"
            both = [Publication(staged=lake.stage(con, table, rows), record={}) for table in ("a.one", "a.two")]
            os.write(pipe, b"begin\n")
            os.write(pipe, f"{lake.publish(con, both, run=f'{life}-{i}', pin=0)}\n".encode())


def create(lake: Lake) -> None:
    """Make the lake."""
    lake.create()
    say(head=lake.head())


def work(lake: Lake) -> None:
    """Everything once: make the lake, publish, read, fork."""
    lake.create()
    with lake.session() as con:
        version = publish(lake, con, {"a.t": "SELECT range AS i, now() AS t FROM range(10)"}, run="r")
        fork = lake.fork(lake.home / "fork", {"a.t": version})
    with fork.session() as con:
        con.execute("INSERT INTO mesh.a.t SELECT 1, now()")
        fork.harvest(con, "a.t")
    fork.remove()
    say(version=version, rows=lake.sql("SELECT count(*) FROM a.t")[1])


def read_while_others_publish(lake: Lake) -> None:
    """Read in a transaction while others publish new tables, then what they published, again and again.

    DuckLake 1.5.5 reads how files' columns are named once per snapshot, from a newer moment than the snapshot's on SQLite.
    """
    with lake.session() as con:
        publish(lake, con, {"a.empty": "SELECT 1 AS i WHERE false", "a.t": "SELECT 1 AS i"}, run="first")
    found = []
    for i in range(3):
        with lake.session() as con:
            con.execute("BEGIN")
            con.execute("FROM mesh.a.empty").fetchall()
            elsewhere(lake, f"b.during{i}")
            con.execute("FROM mesh.a.t").fetchall()
            con.execute("COMMIT")
            if i == 2:  # … and in the same session
                elsewhere(lake, "b.later")
                publish(lake, con, {"a.own": "SELECT 1 AS i"}, run="own")
        version = elsewhere(lake, f"b.after{i}")
        with lake.session() as con:
            found += con.execute(f"SELECT count(*) FROM {lake.relation(f'b.after{i}', version)}").fetchall()
    say(found=found)


def elsewhere(lake: Lake, table: str) -> int:
    """The version of a new table that another process publishes."""
    arguments = json.dumps({"home": str(lake.home), "config": dataclasses.asdict(CONFIG[0]), "table": table})
    done = subprocess.run([sys.executable, __file__, "publish_one", arguments], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)["version"]


def publish_one(lake: Lake, *, table: str) -> None:
    """Publish a new table with columns whose names are long."""
    names = ", ".join(f"{i} AS {'a_long_name_of_a_column_' * 2}{i}" for i in range(5))
    with lake.session() as con:
        say(version=publish(lake, con, {table: f"SELECT {names}"}, run=table))


def work_after_fork(lake: Lake) -> None:
    """A process that has the lake open forks, and both go on."""
    with lake.session() as con:
        publish(lake, con, {"a.t": "SELECT 1 AS i"}, run="parent")
    if not (child := os.fork()):
        with lake.session() as con:
            publish(lake, con, {"a.t": "SELECT 2 AS i"}, run="child")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    say(status=status, head=lake.head())


def fail(lake: Lake, *, file_size: int = 0, as_user: int = 0, query: str) -> None:
    """Stage where it cannot be; then go on where it can."""
    import resource

    with lake.session() as con:
        publish(lake, con, {"a.t": "SELECT 1 AS i"}, run="before")
        if file_size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, resource.RLIM_INFINITY))
        if as_user:
            os.seteuid(as_user)
        try:
            lake.stage(con, "a.t", query)
        except MeshError as error:
            said = str(error)
        else:
            said = ""
        if as_user:
            os.seteuid(0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        left = len(list(lake.data.rglob("*.parquet")))
        say(
            said=said,
            files=left,
            after=publish(lake, con, {"a.t": "SELECT 2 AS i"}, run="after"),
            rows=lake.sql("FROM a.t")[1],
        )


def main() -> None:
    what, arguments = sys.argv[1], json.loads(sys.argv[2])
    CONFIG.append(LakeConfig(**arguments.pop("config", {})))
    lake = Lake(Path(arguments.pop("home")), CONFIG[0])
    roles = (create, write, read, read_while_others_publish, publish_one, survive, work, work_after_fork, fail)
    {f.__name__: f for f in roles}[what](lake, **arguments)


if __name__ == "__main__":
    main()
