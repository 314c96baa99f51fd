"""Laws of the graph, against networkx."""

import itertools

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_assets import graph

NAMES = [f"d{n % 3}.t{n}" for n in range(12)]
GRAPHS = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=3, unique=True), max_size=12)


def theirs(edges):
    whole = nx.DiGraph()
    whole.add_nodes_from(edges)
    whole.add_edges_from((source, name) for name, sources in edges.items() for source in sources)
    return whole


@given(GRAPHS)
@settings(deadline=None)
def test_a_cycle_is_found_exactly_when_there_is_one(edges):
    inner = {name: [source for source in sources if source in edges] for name, sources in edges.items()}
    found = graph.cycle(edges)
    assert bool(found) is not nx.is_directed_acyclic_graph(theirs(inner))
    if found:
        assert found[0] == found[-1]
        assert all(source in edges[reader] for source, reader in itertools.pairwise(found))


@given(GRAPHS)
@settings(deadline=None)
def test_every_group_of_tables_that_feed_each_other_is_named_once(edges):
    inner = {name: [source for source in sources if source in edges] for name, sources in edges.items()}
    whole = theirs(inner)
    groups = [
        group
        for group in nx.strongly_connected_components(whole)
        if len(group) > 1 or any(whole.has_edge(n, n) for n in group)
    ]
    found = graph.cycles(edges)
    assert sorted(next(i for i, group in enumerate(groups) if set(around) <= group) for around in found) == list(
        range(len(groups))
    )


@given(GRAPHS)
@settings(deadline=None)
def test_upstream_comes_before_downstream(edges):
    if graph.cycle({name: [s for s in sources if s != name] for name, sources in edges.items()}):
        with pytest.raises(ValueError, match="→"):
            graph.order(edges)
        return
    done = graph.order(edges)
    assert sorted(done) == sorted(edges)
    assert all(
        done.index(source) < done.index(name)
        for name in edges
        for source in edges[name]
        if source in edges and source != name
    )


@given(GRAPHS, st.sampled_from(NAMES), st.sampled_from(NAMES))
@settings(deadline=None)
def test_upstream_and_downstream_mirror_each_other(edges, one, other):
    assert (one in graph.upstream(edges, [other])) == (other in graph.downstream(edges, [one]))
    whole = theirs(edges)
    if one in whole:
        assert graph.downstream(edges, [one]) == nx.descendants(whole, one)
        assert graph.upstream(edges, [one], include_self=True) == nx.ancestors(whole, one) | {one}


@given(GRAPHS, st.sampled_from(NAMES), st.sampled_from(NAMES))
@settings(deadline=None)
def test_a_path_is_shortest_and_real(edges, source, target):
    whole = theirs(edges)
    found = graph.path(edges, source, target)
    if source == target:
        assert found == (source,)
    elif source in whole and target in whole and nx.has_path(whole, source, target):
        assert len(found) == len(nx.shortest_path(whole, source, target))
        assert all(whole.has_edge(*step) for step in itertools.pairwise(found))
    else:
        assert found == ()
