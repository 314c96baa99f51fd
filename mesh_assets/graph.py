"""Who feeds whom: the order of tables, what is upstream and downstream, the path between two, a cycle.

A graph maps each table to those it reads. What is read but no key of the mapping counts as a table that reads nothing.
"""

from collections import deque
from collections.abc import Iterable, Mapping

from mesh_assets.domain import Mesh

Graph = Mapping[str, Iterable[str]]


def graph_of(mesh: Mesh) -> dict[str, tuple[str, ...]]:
    """Every table of a mesh, and the tables it reads."""
    return {name: table.inputs for name, table in mesh.tables.items()}


def order(graph: Graph) -> tuple[str, ...]:
    """The keys of the graph, upstream before downstream; by name where the graph leaves it open.

    Raises:
        ValueError: There is a cycle.
    """
    waits = {name: {source for source in graph[name] if source in graph and source != name} for name in graph}
    readers = readers_of(graph)
    done: list[str] = []
    ready = sorted(name for name, sources in waits.items() if not sources)
    while ready:
        done += ready
        freed: set[str] = set()
        for name in ready:
            for reader in readers.get(name, ()):
                waits[reader].discard(name)
                if not waits[reader] and reader != name:
                    freed.add(reader)
        ready = sorted(freed)
    if len(done) < len(graph):
        msg = " → ".join(cycle(graph))
        raise ValueError(msg)
    return tuple(done)


def readers_of(graph: Graph) -> dict[str, tuple[str, ...]]:
    """The same graph turned round: each table that is read, and who reads it."""
    readers: dict[str, list[str]] = {}
    for name in sorted(graph):
        for source in graph[name]:
            readers.setdefault(source, []).append(name)
    return {source: tuple(names) for source, names in readers.items()}


def upstream(graph: Graph, tables: Iterable[str], *, include_self: bool = False) -> frozenset[str]:
    """Everything that the tables are made of, near and far."""
    return _reached(graph, tables, include_self=include_self)


def downstream(graph: Graph, tables: Iterable[str], *, include_self: bool = False) -> frozenset[str]:
    """Everything that is made of the tables, near and far."""
    return _reached(readers_of(graph), tables, include_self=include_self)


def path(graph: Graph, source: str, target: str) -> tuple[str, ...]:
    """A shortest way along which `source` feeds `target`, both included; empty when it does not."""
    readers = readers_of(graph)
    came: dict[str, str] = {source: ""}
    todo = deque([source])
    while todo and target not in came:
        name = todo.popleft()
        for reader in readers.get(name, ()):
            if reader not in came:
                came[reader] = name
                todo.append(reader)
    return _walk(came, target) if target in came else ()


def cycle(graph: Graph) -> tuple[str, ...]:
    """One cycle, in the direction of the data, its first table repeated at the end; empty when there is none."""
    found = cycles(graph)
    return found[0] if found else ()


def cycles(graph: Graph) -> list[tuple[str, ...]]:
    """One cycle for each group of tables that feed each other, each as in `cycle`."""
    found = []
    left = _cyclic(graph)
    while left:
        start = min(left)
        inner = {name: [source for source in graph[name] if source in left] for name in left}
        around = _shortest_round(inner, start)
        if around:
            found.append(around)
            left -= upstream(inner, [start], include_self=True) & downstream(inner, [start], include_self=True)
        else:
            left.discard(start)
    return found


def _cyclic(graph: Graph) -> set[str]:
    """What remains when tables without inputs, then tables without readers, are taken away until none is left."""
    left = {name: {source for source in graph[name] if source in graph} for name in graph}
    for turned in (False, True):
        edges = _turned(left) if turned else left
        bare = [name for name, sources in edges.items() if not sources]
        others = _turned(edges)
        while bare:
            name = bare.pop()
            edges.pop(name)
            for reader in others.get(name, ()):
                if reader in edges:
                    edges[reader].discard(name)
                    if not edges[reader]:
                        bare.append(reader)
        left = {name: {source for source in left[name] if source in edges} for name in edges}
    return set(left)


def _turned(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    turned: dict[str, set[str]] = {name: set() for name in edges}
    for name, sources in edges.items():
        for source in sources:
            turned[source].add(name)
    return turned


def _shortest_round(graph: Graph, start: str) -> tuple[str, ...]:
    if start in graph[start]:
        return start, start
    around = [path(graph, start, source) for source in sorted(graph[start])]
    closed = [(*way, start) for way in around if way]
    return min(closed, key=len, default=())


def _walk(came: Mapping[str, str], target: str) -> tuple[str, ...]:
    way = [target]
    while came[way[-1]]:
        way.append(came[way[-1]])
    return tuple(reversed(way))


def _reached(edges: Graph, starts: Iterable[str], *, include_self: bool) -> frozenset[str]:
    first = frozenset(starts)
    seen: set[str] = set()
    todo = list(first)
    while todo:
        for name in edges.get(todo.pop(), ()):
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return frozenset(seen | first if include_self else seen - first)
