"""Pictures as SVG, drawn here: no script, a link per node, every text escaped. Colour comes from the style sheet."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape

from mesh_assets.numerals import many

WIDTH, HEIGHT, ACROSS, DOWN, LANE = 208, 50, 56, 18, 8
"""Of a box, of the space between boxes, and of the lane of an edge that passes a layer."""
NAME, NOTE = 13.0, 10.5
"""Sizes of texts; what is not bold is narrower than its size says."""
QUIET = timedelta(minutes=2)
"""So long nothing was built: what comes then has a picture of its own."""
SYMBOLS = {"pass": "✓", "warn": "!", "fail": "✕", "late": "◷", "never ran": "–", "error": "✕"}
Href = Callable[[str], str | None]
Point = tuple[int, int]
Edge = tuple[str, str]
Spot = str | tuple[str, str, int]
"""Of a layer: a node, or the lane of an edge."""


def lineage(
    nodes: Sequence[Mapping[str, str]], edges: Sequence[Sequence[str]], href: Href, *, title: str, here: str = ""
) -> Markup:
    """Layers from left to right.

    Args:
        nodes: Each with `id`, `label`, `note`, `status`, and `path`: where its link leads.
        edges: (from, to), by id; no cycles.
        href: A path to a link; None: no link.
        here: The node that the page is about.
    """
    known = {node["id"]: node for node in nodes}
    inner = [(one, other) for one, other in edges if one in known and other in known and one != other]
    place, lanes, columns, tall = layout(list(known), inner)
    width = 8 + columns * WIDTH + (columns - 1) * ACROSS
    height = 8 + tall
    out = [
        Markup('<path class="edge" d="{}"/>').format(_curve(place[one], place[other], lanes.get((one, other), ())))
        for one, other in inner
    ]
    for name, node in known.items():
        x, y = place[name]
        label = fitted(node["label"], WIDTH - 24, NAME)
        note = fitted(f"{SYMBOLS.get(node['status'], '')} {node['note']}".strip(), WIDTH - 24, NOTE)
        box = Markup(
            '<rect class="node {}" x="{}" y="{}" width="{}" height="{}" rx="6"/>'
            '<text class="name" x="{}" y="{}">{}</text><text class="note" x="{}" y="{}">{}</text>'
        ).format(
            _word(node["status"], here=name == here), x, y, WIDTH, HEIGHT, x + 12, y + 21, label, x + 12, y + 39, note
        )
        link = href(node["path"]) if node.get("path") else None
        out.append(Markup('<a href="{}"><title>{}</title>{}</a>').format(link, node["label"], box) if link else box)
    return Markup(
        '<svg class="lineage" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" aria-label="{t}">{b}</svg>'
    ).format(w=width, h=height, t=title, b=Markup("").join(out))


def layout(nodes: Sequence[str], edges: Sequence[Edge]) -> tuple[dict[str, Point], dict[Edge, list[Point]], int, int]:
    """Longest paths make the layers, the middle of the neighbours the order within one; cycles are laid where they fall.

    Returns:
        Where each node begins; of each edge that passes a layer, the lane that is free for it there, as the point where it
        enters, WIDTH wide; how many layers there are; how tall the tallest is.
    """
    before: dict[str, list[str]] = {name: [] for name in nodes}
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for one, other in edges:
        before[other].append(one)
        after[one].append(other)
    layer = _layers(before, after)
    spots: list[list[Spot]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for name in sorted(nodes):
        spots[layer[name]].append(name)
    left: dict[Spot, list[Spot]] = {name: [] for name in nodes}
    right: dict[Spot, list[Spot]] = {name: [] for name in nodes}
    for one, other in edges:
        way: list[Spot] = [(one, other, at) for at in range(layer[one] + 1, layer[other])]
        for lane in way:
            spots[lane[2]].append(lane)  # ty: ignore
        for near, far in pairwise([one, *way, other]):
            right.setdefault(near, []).append(far)
            left.setdefault(far, []).append(near)
    for sweep in range(6):
        near = left if sweep % 2 == 0 else right
        for row in spots if sweep % 2 == 0 else spots[::-1]:
            at = {spot: place for one in spots for place, spot in enumerate(one)}
            row.sort(key=lambda s: sum(at[n] for n in near[s]) / len(near[s]) if near.get(s) else at[s])
    return _placed(spots)


def _layers(before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    layer = dict.fromkeys(before, 0)
    waits = {name: len(before[name]) for name in before}
    ready = [name for name in before if not waits[name]]
    while ready:
        name = ready.pop(0)
        for other in after[name]:
            layer[other] = max(layer[other], layer[name] + 1)
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    return layer


def _placed(
    spots: Sequence[Sequence[Spot]],
) -> tuple[dict[str, Point], dict[Edge, list[Point]], int, int]:
    place: dict[str, Point] = {}
    lanes: dict[Edge, list[Point]] = {}
    highs = [sum(HEIGHT if isinstance(spot, str) else LANE for spot in row) + DOWN * (len(row) - 1) for row in spots]
    tall = max([*highs, HEIGHT])
    for number, (row, high) in enumerate(zip(spots, highs, strict=True)):
        x, y = 4 + number * (WIDTH + ACROSS), 4 + (tall - high) // 2
        for spot in row:
            if isinstance(spot, str):
                place[spot] = x, y
            else:
                lanes.setdefault(spot[:2], []).append((x, y + LANE // 2))
            y += (HEIGHT if isinstance(spot, str) else LANE) + DOWN
    return place, lanes, len(spots), tall


def histogram(bars: Sequence[Mapping[str, Any]], *, title: str) -> Markup:
    """How many rows fall where; each bar tells its numbers."""
    if not bars:
        return Markup("")
    most = max(bar["count"] for bar in bars) or 1
    wide = 120 // len(bars)
    out = Markup("").join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"><title>{}: {}</title></rect>').format(
            place * wide, 28 - (high := max(1, round(26 * bar["count"] / most)) if bar["count"] else 0), wide - 1, high,
            bar["label"], many(bar["count"], "row"),
        )
        for place, bar in enumerate(bars)
    )  # fmt: skip
    return Markup(
        '<svg class="bars" viewBox="0 0 120 28" width="120" height="28" role="img" aria-label="{}">{}</svg>'
    ).format(title, out)


def strip(history: Sequence[Mapping[str, Any]], *, title: str) -> Markup:
    """A test's last results, oldest first: height and mark differ, not only colour."""
    if not history:
        return Markup("")
    tall = {"pass": 8, "warn": 14, "fail": 20, "error": 20}
    out = []
    for place, item in enumerate(history):
        status = str(item["status"])
        high = tall.get(status, 4)
        out.append(
            Markup('<rect class="{}" x="{}" y="{}" width="6" height="{}"><title>{}: {}{}</title></rect>').format(
                _word(status),
                place * 8,
                20 - high,
                high,
                item["at"][:16].replace("T", " "),
                status,
                "" if status == "pass" else f", {item.get('message') or ''}",
            )
        )
    width = 8 * len(history)
    return Markup(
        '<svg class="strip" viewBox="0 0 {w} 20" width="{w}" height="20" role="img" aria-label="{t}">{b}</svg>'
    ).format(w=width, t=title, b=Markup("").join(out))


def bursts(day: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A day's steps in parts between which nothing was built for a while, the newest first; each as a day of its own."""
    found: list[dict[str, Any]] = []
    for step in sorted(day["steps"], key=lambda one: one["start"]):
        last = found[-1] if found else None
        if last and datetime.fromisoformat(step["start"]) - datetime.fromisoformat(last["to"]) <= QUIET:
            last["to"] = max(last["to"], step["end"])
            last["steps"].append(step)
        else:
            found.append({"from": step["start"], "to": step["end"], "steps": [step]})
    order = {id(step): place for place, step in enumerate(day["steps"])}
    for one in found:
        one["steps"].sort(key=lambda step: order[id(step)])
    return found[::-1]


def _clock(at: datetime, span: float) -> str:
    """To the tenth of a second where a picture is of a few seconds only."""
    return f"{at:%H:%M:%S}" + (f".{at.microsecond // 100_000}" if span < 10 else "")  # noqa: PLR2004 - seconds


def timeline(day: Mapping[str, Any], href: Href) -> Markup:
    """What was built when: a row per table, upstream above downstream."""
    steps = day["steps"]
    if not steps:
        return Markup("")
    start, end = datetime.fromisoformat(day["from"]), datetime.fromisoformat(day["to"])
    span = max((end - start).total_seconds(), 1.0)
    names = list(dict.fromkeys(step["table"] for step in steps))
    row = {name: place for place, name in enumerate(names)}
    left, wide, high = 300, 560, 22
    out = [
        Markup(
            '<line class="grid" x1="{x}" x2="{x}" y1="18" y2="{y}"/><text class="note" x="{x}" y="12" text-anchor="middle">{t}</text>'
        ).format(
            x=round(left + wide * part / 4),
            y=24 + high * len(names),
            t=_clock(start + (end - start) * part / 4, span),
        )
        for part in range(5)
    ]
    for name in names:
        link, y = href(f"/mesh/domains/{name}/when"), 38 + row[name] * high
        text = Markup('<text class="label" x="0" y="{}">{}</text>').format(y, fitted(name, left - 10, 12.0))
        out.append(Markup('<a href="{}">{}</a>').format(link, text) if link else text)
    for step in steps:
        x = left + wide * (datetime.fromisoformat(step["start"]) - start).total_seconds() / span
        width = max(3.0, wide * step["seconds"] / span)
        status = {"published": "pass", "unchanged": "never", "held": "fail", "failed": "fail"}.get(
            step["outcome"], "never"
        )
        out.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="14" rx="2"><title>{}: {}, {:.1f} s</title></rect>'
            ).format(
                status,
                min(x, left + wide - 3),
                26 + row[step["table"]] * high,
                width,
                step["table"],
                step["outcome"],
                step["seconds"],
            )
        )
    height = 30 + high * len(names)
    return Markup(
        '<svg class="timeline" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" aria-label="The order of operations of the day">{b}</svg>'
    ).format(w=left + wide + 30, h=height, b=Markup("").join(out))


def score(history: Sequence[Mapping[str, Any]]) -> Markup:
    """The trust score of the last days, as a line."""
    if not history:
        return Markup("")
    step = 18
    dots = [(8 + place * step, 64 - round(item["score"] * 0.56)) for place, item in enumerate(history)]
    line = " ".join(f"{x},{y}" for x, y in dots)
    marks = Markup("").join(
        Markup('<circle cx="{}" cy="{}" r="3"><title>{}: {}</title></circle>').format(x, y, item["day"], item["score"])
        for (x, y), item in zip(dots, history, strict=True)
    )
    width = 16 + step * max(len(history) - 1, 1)
    return Markup(
        '<svg class="score" viewBox="0 0 {w} 72" width="{w}" height="72" role="img" aria-label="{t}"><line class="grid" x1="0" x2="{w}" y1="64" y2="64"/><line class="grid" x1="0" x2="{w}" y1="8" y2="8"/><polyline points="{l}"/>{m}</svg>'
    ).format(w=width, l=line, m=marks, t=f"Trust over {len(history)} days, now {history[-1]['score']} of 100")


def durations(versions: Sequence[Mapping[str, Any]], key: str, *, title: str, unit: str) -> Markup:
    """A bar per version, oldest first: seconds, or rows; with a title that can be read, and what the tallest bar is."""
    rows = [item for item in reversed(versions) if item.get(key) is not None][-40:]
    if len(rows) < 2:  # noqa: PLR2004 - one is no history
        return Markup("")
    most = max(float(item[key]) for item in rows) or 1.0
    out = Markup("").join(
        Markup('<rect x="{}" y="{}" width="10" height="{}"><title>version {}: {} {}</title></rect>').format(
            place * 12,
            48 - (high := max(1, round(46 * float(item[key]) / most))),
            high,
            item["version"],
            f"{item[key]:,}",
            unit,
        )
        for place, item in enumerate(rows)
    )
    width = 12 * len(rows)
    said = f"{title}, versions {rows[0]['version']} to {rows[-1]['version']}; the tallest is {max(item[key] for item in rows):,} {unit}"
    return Markup(
        '<figure><svg class="bars" viewBox="0 0 {w} 48" width="{w}" height="48" role="img" aria-label="{t}">{b}</svg><figcaption class="soft small">{s}</figcaption></figure>'
    ).format(w=width, t=title, b=out, s=said)


def _curve(one: Point, other: Point, lanes: Sequence[Point] = ()) -> str:
    """From box to box, straight along each lane on the way."""
    x, y = one[0] + WIDTH, one[1] + HEIGHT // 2
    path = f"M{x} {y}"
    for to in (*lanes, (other[0], other[1] + HEIGHT // 2)):
        bend = max(24, abs(to[0] - x) // 2)
        path += f"C{x + bend} {y} {to[0] - bend} {to[1]} {to[0]} {to[1]}"
        x, y = to[0] + WIDTH, to[1]
        path += f"H{x}" if to in lanes else ""
    return path


def _word(status: str, *, here: bool = False) -> str:
    return escape(f"{status.split(maxsplit=1)[0]}{' here' if here else ''}")


def fitted(text: str, room: float, size: float) -> str:
    """As much of a text as has room, by the widths of a wide font."""
    if sum(map(_wide, text)) * size <= room:
        return text
    left = room / size - _wide("…")
    for place, character in enumerate(text):
        left -= _wide(character)
        if left < 0:
            return f"{text[:place]}…"
    return text


def _wide(character: str) -> float:
    """Of a character, in parts of the font's size."""
    if character in "fijlrtI.,:;'|!()[]/- ":
        return 0.45
    if character in "mwMW@%&" or ord(character) > 0x2E80:  # noqa: PLR2004 - from here on, letters of East Asia
        return 1.1
    return 0.8 if character.isupper() else 0.7
