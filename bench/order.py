"""How long `due` takes for 10,000 tables, in CPU time.

Run: python bench/order.py [TABLES]

500 domains of 20 tables: three sources, three ports of other domains, three inputs per table. Each state is what a real
history leads to: everything is published, all files change, whatever is due is built until nothing is.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mesh_assets import order
from mesh_assets.domain import Domain, InputPort, Mesh, Table, Toolchain
from mesh_assets.generations import Generations
from mesh_assets.order import Attempt, Seen, State

PER_DOMAIN = 20


def mesh_of(tables: int, *, reach: int = 400) -> Mesh:
    """A mesh of that many tables, in domains that read some of the `reach` domains before them."""
    rnd = random.Random(1)
    domains, found = {}, {}
    for number in range(tables // PER_DOMAIN):
        near = range(max(0, number - reach), number)
        ports = [f"d{other:04}.t19" for other in rnd.sample(near, min(3, len(near)))]
        pool = list(ports)
        for place in range(PER_DOMAIN):
            name = f"d{number:04}.t{place:02}"
            inputs = () if place < 3 else tuple(sorted(rnd.sample(pool, 3)))
            found[name] = Table(
                name=name, toolchain=Toolchain.SQL if inputs else Toolchain.SOURCE, inputs=inputs, code="1"
            )
            pool.append(name)
        domains[f"d{number:04}"] = Domain(
            name=f"d{number:04}", path=Path(), inputs=tuple(InputPort(table=port) for port in ports)
        )
    return Mesh(name="bench", root=Path(), domains=domains, tables=found)


def published(mesh: Mesh) -> State:
    """Everything is published, and up to date."""
    seen: dict[str, Seen] = {}
    tried: dict[str, Attempt] = {}
    for name in mesh.tables:
        tried[name] = order.attempt(mesh, name, seen, raw="1")
        seen[name] = Seen(version=1, fingerprint=f"{name}@1", inputs=tried[name].inputs)
    told = Generations(mesh, seen)
    for name, table in mesh.tables.items():
        seen[name] = replace(seen[name], generation=told.of_new(name, f"{name}@1", table.inputs))
    return State(seen=seen, tried=tried, raw=dict.fromkeys(mesh.tables, "1"))


def refreshed(mesh: Mesh, state: State, *, fails: Callable[[str], bool]) -> State:
    """All files have changed, and what could be built was built."""
    seen, tried, raw = dict(state.seen), dict(state.tried), dict.fromkeys(mesh.tables, "2")
    while build := order.due(mesh, State(seen=seen, tried=tried, raw=raw)).build:
        told = Generations(mesh, dict(seen))
        made = {}
        for name in build:
            tried[name] = order.attempt(mesh, name, seen, raw="2", failed=fails(name))
            if not fails(name):
                new = f"{name}@2"
                stands = told.of_new(name, new, mesh.tables[name].inputs)
                made[name] = Seen(version=2, fingerprint=new, inputs=tried[name].inputs, generation=stands)
        seen |= made
    return State(seen=seen, tried=tried, raw=raw)


def report(what: str, run: Callable[[], object], *, times: int = 7) -> None:
    """Print the median CPU time of several runs."""
    took = []
    for _ in range(times):
        begun = time.process_time()
        run()
        took.append(time.process_time() - begun)
    sys.stdout.write(f"{what:64} {statistics.median(took) * 1000:8.1f} ms\n")


def main(tables: int) -> None:
    """Measure."""
    mesh = mesh_of(tables)
    state = published(mesh)
    entries = [len(seen.generation) for seen in state.seen.values()]
    sys.stdout.write(
        f"{tables} tables; generations of {statistics.mean(entries):.0f} entries, at most {max(entries)}\n"
    )
    report("due, nothing published yet", lambda: order.due(mesh, State(raw=state.raw)))
    report("due, all up to date", lambda: order.due(mesh, state))
    moved = replace(state, raw=dict.fromkeys(mesh.tables, "2"))
    report("due, all files changed", lambda: order.due(mesh, moved))
    rnd = random.Random(2)
    bad = set(rnd.sample(list(mesh.tables), tables // 1000))
    failed = refreshed(mesh, state, fails=bad.__contains__)
    standings = [why.state for why in order.due(mesh, failed).why.values()]
    sys.stdout.write(f"1 in 1,000 has failed: {standings.count('disagrees')} tables disagree\n")
    report("due, after that", lambda: order.due(mesh, failed))
    last = list(mesh.tables)[-1]
    report("disagreement of the last table, after that", lambda: order.disagreement(mesh, last, failed.seen))
    report("generation of the last table", lambda: order.generation(mesh, last, state.seen, "new"))
    report(
        "closure of everything due, all files changed", lambda: order.closure(mesh, moved, order.due(mesh, moved).build)
    )
    chain = {
        f"c.t{at:04}": Table(name=f"c.t{at:04}", toolchain=Toolchain.SQL, inputs=(f"c.t{at - 1:04}",) if at else ())
        for at in range(2000)
    }
    line = Mesh(name="chain", root=Path(), domains={"c": Domain(name="c", path=Path())}, tables=chain)
    there = published(line)
    report("due, a chain of 2,000", lambda: order.due(line, there))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
