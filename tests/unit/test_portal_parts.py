"""Parts of the portal that need no mesh: addresses, standards, pictures, who may ask."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse

from mesh_assets.address import Address, NotFound, parse, path
from mesh_assets.mesh import read_mesh
from mesh_assets.portal import pictures, render
from mesh_assets.portal.security import is_same_origin
from mesh_assets.portal.webserver import with_domains

ROOT = Path(__file__).parents[2]
CSS = (render.STATIC / render.STYLE).read_text()
words = st.text(min_size=1, max_size=30)


def test_addresses_are_spelt_as_people_do():
    mesh = read_mesh(ROOT)
    assert parse(mesh, "customers") == Address(domain="customers")
    assert parse(mesh, "customers.physicians@12") == Address(domain="customers", table="physicians", version=12)
    assert (
        path(Address(domain="customers", table="physicians", version=12), "how")
        == "/mesh/domains/customers/physicians@12/how"
    )
    with pytest.raises(NotFound, match="Did you mean `physicians`"):
        parse(mesh, "customers/physician")


@given(words, words)
def test_a_picture_is_xml_whatever_the_names_are(one, other):
    nodes = [{"id": n, "label": n, "note": n, "status": "pass", "path": f"/mesh/{n}"} for n in {one, other}]
    drawn = pictures.lineage(nodes, [(one, other)], lambda to: to, title=one)
    if re.search(r"[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", one + other):
        return  # characters that XML has no place for; browsers read HTML
    assert len(ET.fromstring(drawn).findall("a")) == len(nodes)


def test_a_cycle_is_drawn_and_does_not_hang():
    place, _, columns, _ = pictures.layout(["a", "b"], [("a", "b"), ("b", "a")])
    assert set(place) == {"a", "b"}
    assert columns == 1


EDGES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda edge: edge[0] < edge[1]), max_size=20)


@given(EDGES)
def test_no_edge_runs_through_a_box(edges):
    names = [str(number) for number in range(10)]
    drawn = sorted({(str(one), str(other)) for one, other in edges})
    place, lanes, columns, tall = pictures.layout(names, drawn)
    assert len(place) == 10
    for one, other in drawn:
        layers = (place[other][0] - place[one][0]) // (pictures.WIDTH + pictures.ACROSS)
        assert len(lanes.get((one, other), ())) == layers - 1
    for lane in (point for points in lanes.values() for point in points):
        beside = [y for x, y in place.values() if x == lane[0]]
        assert all(not y <= lane[1] <= y + pictures.HEIGHT for y in beside)
        assert 0 <= lane[1] <= tall + 8
    assert max(x for x, _ in place.values()) < columns * (pictures.WIDTH + pictures.ACROSS)


def test_a_name_fits_its_box_or_is_cut():
    assert pictures.fitted("physician_engagement", pictures.WIDTH - 24, pictures.NAME) == "physician_engagement"
    assert pictures.fitted("W" * 40, 176, 13.0).endswith("…")
    assert len(pictures.fitted("W" * 40, 176, 13.0)) < 14
    assert pictures.fitted("short", 176, 13.0) == "short"


def test_what_was_built_at_another_time_has_a_picture_of_its_own():
    def step(start, seconds):
        begin = datetime.fromisoformat(f"2026-01-31T06:{start}+00:00")
        return {"table": start, "start": begin.isoformat(), "end": (begin + timedelta(seconds=seconds)).isoformat()}

    steps = [step("00:00", 30), step("17:30", 2), step("00:20", 60), step("01:50", 1)]
    found = pictures.bursts({"steps": steps})
    assert [[one["table"] for one in part["steps"]] for part in found] == [["17:30"], ["00:00", "00:20", "01:50"]]
    assert found[1]["to"] == steps[3]["end"]


def test_bars_say_what_they_are():
    versions = [{"version": 3, "seconds": 6.5}, {"version": 1, "seconds": 2.0}]
    drawn = pictures.durations(versions, "seconds", title="Seconds of each", unit="s")
    assert "<figcaption" in drawn
    assert "Seconds of each, versions 1 to 3; the tallest is 6.5 s" in drawn


def test_backticks_become_code_and_everything_is_escaped():
    assert render.ticks("no `<b>` <i>") == Markup("no <code>&lt;b&gt;</code> &lt;i&gt;")
    assert render.ticks("one ` alone") == "one ` alone"
    assert render.short("a `word of many` more", 12) == "a…"
    assert render.short("a `word` of many more", 14) == "a `word` of m…"


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"host": "a", "origin": "http://a"}, True),
        ({"host": "a", "sec-fetch-site": "same-origin"}, True),
        ({"host": "a"}, False),
        ({"host": "a", "origin": "http://b", "sec-fetch-site": "same-origin"}, False),
        ({"host": "a", "origin": "http://a", "sec-fetch-site": "cross-site"}, False),
        ({"host": "a", "origin": "null"}, False),
        ({"host": "a", "origin": "http://a.evil"}, False),
    ],
)
def test_the_same_origin(headers, same):
    assert is_same_origin(Headers(headers)) is same


def test_dagsters_page_gets_one_line_more_under_its_own_nonce():
    page = HTMLResponse('<html><head><script nonce="0123456789abcdef"></script></head></html>')
    text = bytes(with_domains(page, "/dg").body).decode()
    assert text.count('nonce="0123456789abcdef"') == 2
    assert "/dg/mesh/" in text
    assert "</head></html>" in text


@pytest.mark.parametrize("text", ["", "<html></html>", '<head><script nonce="x"></script></head>'])
def test_a_page_of_dagsters_that_is_not_as_expected_stays_as_it_is(text):
    page = HTMLResponse(text)
    assert with_domains(page, "") is page


@pytest.mark.parametrize("name", ["pass", "warn", "fail", "late", "never"])
@pytest.mark.parametrize("scheme", [0, 1])
def test_words_can_be_read_on_their_colour(name, scheme):
    """4.5 to 1, in light and dark: text in pictures, which axe cannot judge, has the same colours."""
    ink, ground = _colour(name)[scheme], _colour(f"{name}-bg")[scheme]
    assert _contrast(ink, ground) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_in_pictures_can_be_read(scheme):
    for ground in ("card", "warn-bg", "fail-bg", "late-bg"):
        assert _contrast(_colour("ink")[scheme], _colour(ground)[scheme]) >= 4.5
        assert _contrast(_colour("soft")[scheme], _colour(ground)[scheme]) >= 4.5


def _colour(name: str) -> tuple[str, str]:
    found = re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\)", CSS)
    return found[1], found[2]


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
