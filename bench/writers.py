"""Whether production waits for kitchens: `python bench/writers.py [--writers 4] [--times 50] [--postgres CONNECTION STRING]`.

So many processes publish tables of their own again and again, and one reads them, first alone, then while kitchens are opened and
closed one after another. Milliseconds of wall time of each publish and of each read; and how many kitchens there were, and how
long the opening of one took beside them.
"""

import argparse
import base64
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from kitchen import mesh

from mesh_assets.environment import Environment
from mesh_assets.kitchen.api import Kitchen
from mesh_assets.lake import Publication
from mesh_assets.mesh import read_mesh
from mesh_assets.settings import Settings


def write(env: Environment, name: str, times: int) -> list[float]:
    """Publish a table so many times; how long each took."""
    spent = []
    with env.lake.session() as con:
        for i in range(times):
            started = time.perf_counter()
            staged = env.lake.stage(con, f"{name}.t", f"SELECT {i} AS i FROM range(1000)")
            env.lake.publish(con, [Publication(staged=staged, record={"inputs": {}})], run=f"{name}-{i}", pin=0)
            spent.append(time.perf_counter() - started)
    return spent


def read(env: Environment) -> list[float]:
    """Read a table at the newest version until it is enough; how long each took."""
    spent: list[float] = []
    while not Path(env.mesh.root, "enough").exists():
        started = time.perf_counter()
        version = env.lake.head()
        with env.lake.session() as con:
            con.execute(f"SELECT sum(i) FROM {env.lake.relation('bench.t0', version)}").fetchall()
        spent.append(time.perf_counter() - started)
    return spent


def side(
    env: Environment, used: Settings, number: int, times: int, *, kitchens: bool
) -> tuple[dict[str, list[float]], list[float]]:
    """Publishes and reads of one side, and the openings beside them."""

    def begin(what: str) -> subprocess.Popen[str]:
        words = [
            sys.executable,
            __file__,
            "--part",
            what,
            "--times",
            str(times),
            "--settings",
            base64.b64encode(pickle.dumps((env.mesh.root, used))).decode(),
        ]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    enough = env.mesh.root / "enough"
    enough.unlink(missing_ok=True)
    reader, writers = begin("read"), [begin(f"w{one}") for one in range(number)]
    opened: list[float] = []
    while any(one.poll() is None for one in writers):
        if kitchens:
            started = time.perf_counter()
            kitchen = Kitchen.open(f"k{len(opened)}", root=env.mesh.root, settings=used)
            opened.append(time.perf_counter() - started)
            kitchen.close(force=True)
        else:
            time.sleep(0.05)
    enough.touch()
    if failed := [one.args for one in (reader, *writers) if one.wait()]:
        raise SystemExit(f"failed: {failed}")
    told = {"read": [reader], "publish": writers}
    return {
        what: [float(word) for one in some for word in one.communicate()[0].split()] for what, some in told.items()
    }, opened


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--postgres", default="", help="a connection string; default: the catalog is SQLite")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        root, used = pickle.loads(base64.b64decode(options.settings))
        env = Environment.open(read_mesh(root), used)
        spent = read(env) if options.part == "read" else write(env, options.part, options.times)
        print(*(f"{one:.4f}" for one in spent))
        return
    with tempfile.TemporaryDirectory() as folder:
        env, used = mesh(Path(folder, "mesh"), 1, options.postgres)
        print(
            f"{options.writers} writers x {options.times}, milliseconds{'':11}{'times':>7}{'median':>8}{'p95':>8}{'most':>8}"
        )
        for kitchens in (False, True):
            found, opened = side(env, used, options.writers, options.times, kitchens=kitchens)
            beside = f", {len(opened)} kitchens opened" if kitchens else ", alone"
            for what, spent in (found | ({"open a kitchen": opened} if opened else {})).items():
                p95 = statistics.quantiles(spent, n=20)[-1]
                figures = "".join(f"{1000 * one:8.0f}" for one in (statistics.median(spent), p95, max(spent)))
                print(f"{what + beside:40}{len(spent):7}{figures}")


if __name__ == "__main__":
    main()
