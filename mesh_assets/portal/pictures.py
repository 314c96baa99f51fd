"""Pictures as SVG, drawn here: no script, a link per node, every text escaped. Colour comes from the style sheet."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT, ACROSS, DOWN = 176, 50, 56, 18
CHARACTERS = 22
SYMBOLS = {"pass": "✓", "warn": "!", "fail": "✕", "late": "◷", "never ran": "–", "error": "✕"}
Href = Callable[[str], str | None]


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
    place, columns, tall = layout(list(known), inner)
    width = 8 + columns * WIDTH + (columns - 1) * ACROSS
    height = 8 + tall * HEIGHT + (tall - 1) * DOWN
    out = [Markup('<path class="edge" d="{}"/>').format(_curve(place[one], place[other])) for one, other in inner]
    for name, node in known.items():
        x, y = place[name]
        label, note = _cut(node["label"]), _cut(f"{SYMBOLS.get(node['status'], '')} {node['note']}".strip())
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


def layout(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> tuple[dict[str, tuple[int, int]], int, int]:
    """Longest paths make the layers, the middle of the neighbours the order within one; cycles are laid where they fall."""
    before: dict[str, list[str]] = {name: [] for name in nodes}
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for one, other in edges:
        before[other].append(one)
        after[one].append(other)
    layer = dict.fromkeys(nodes, 0)
    waits = {name: len(before[name]) for name in nodes}
    ready = [name for name in nodes if not waits[name]]
    while ready:
        name = ready.pop(0)
        for other in after[name]:
            layer[other] = max(layer[other], layer[name] + 1)
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for name in sorted(nodes):
        rows[layer[name]].append(name)
    for sweep in range(6):
        near = before if sweep % 2 == 0 else after
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            at = {name: place for one in rows for place, name in enumerate(one)}
            row.sort(key=lambda name: sum(at[n] for n in near[name]) / len(near[name]) if near[name] else at[name])
    tall = max((len(row) for row in rows), default=1)
    place = {
        name: (4 + x * (WIDTH + ACROSS), round(4 + (y + (tall - len(row)) / 2) * (HEIGHT + DOWN)))
        for x, row in enumerate(rows)
        for y, name in enumerate(row)
    }
    return place, len(rows), max(tall, 1)


def histogram(bars: Sequence[Mapping[str, Any]], *, title: str) -> Markup:
    """How many rows fall where; each bar tells its numbers."""
    if not bars:
        return Markup("")
    most = max(bar["count"] for bar in bars) or 1
    wide = 120 // len(bars)
    out = Markup("").join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"><title>{}: {} rows</title></rect>').format(
            place * wide, 28 - (high := max(1, round(26 * bar["count"] / most)) if bar["count"] else 0), wide - 1, high,
            bar["label"], f"{bar['count']:,}",
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
            Markup('<rect class="{}" x="{}" y="{}" width="6" height="{}"><title>{}: {}, {}</title></rect>').format(
                _word(status),
                place * 8,
                20 - high,
                high,
                item["at"][:16].replace("T", " "),
                status,
                item.get("message") or "",
            )
        )
    width = 8 * len(history)
    return Markup(
        '<svg class="strip" viewBox="0 0 {w} 20" width="{w}" height="20" role="img" aria-label="{t}">{b}</svg>'
    ).format(w=width, t=title, b=Markup("").join(out))


def timeline(day: Mapping[str, Any], href: Href) -> Markup:
    """What was built when: a row per table, upstream above downstream."""
    steps = day["steps"]
    if not steps:
        return Markup("")
    start, end = datetime.fromisoformat(day["from"]), datetime.fromisoformat(day["to"])
    span = max((end - start).total_seconds(), 1.0)
    names = list(dict.fromkeys(step["table"] for step in steps))
    row = {name: place for place, name in enumerate(names)}
    left, wide, high = 250, 620, 22
    out = [
        Markup(
            '<line class="grid" x1="{x}" x2="{x}" y1="18" y2="{y}"/><text class="note" x="{x}" y="12" text-anchor="middle">{t}</text>'
        ).format(
            x=round(left + wide * part / 4),
            y=24 + high * len(names),
            t=(start + (end - start) * part / 4).strftime("%H:%M:%S"),
        )
        for part in range(5)
    ]
    for name in names:
        link, y = href(f"/mesh/domains/{name}/when"), 38 + row[name] * high
        text = Markup('<text class="label" x="0" y="{}">{}</text>').format(y, _cut(name, 34))
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
    """A bar per version, oldest first: seconds, or rows."""
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
    return Markup(
        '<svg class="bars" viewBox="0 0 {w} 48" width="{w}" height="48" role="img" aria-label="{t}">{b}</svg>'
    ).format(w=width, t=title, b=out)


def _curve(one: tuple[int, int], other: tuple[int, int]) -> str:
    x1, y1, x2, y2 = one[0] + WIDTH, one[1] + HEIGHT // 2, other[0], other[1] + HEIGHT // 2
    bend = max(24, abs(x2 - x1) // 2)
    return f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"


def _word(status: str, *, here: bool = False) -> str:
    return escape(f"{status.split(maxsplit=1)[0]}{' here' if here else ''}")


def _cut(text: str, most: int = CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
