"""Pages as HTML: one set of templates for the live portal and for files on disk."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from mesh_assets import address as names
from mesh_assets.address import QUESTIONS
from mesh_assets.catalog import words
from mesh_assets.changes.words import from_json, meant, said
from mesh_assets.numerals import does, many
from mesh_assets.portal import pictures
from mesh_assets.portal.navigation import MENU
from mesh_assets.portal.pages import Page
from mesh_assets.portal.prose import prose

HERE = Path(__file__).parent
STATIC = HERE / "static"
STYLE, SCRIPT, HTMX = "portal.css", "portal.js", "htmx-4.0.1.min.js"


class Links(Protocol):
    """Where links lead: on a server or among files."""

    @property
    def live(self) -> bool:
        """Whether forms can be sent."""

    def __call__(self, path: str) -> str | None:
        """A page of the portal; None when it is not there to be linked to."""

    def static(self, file: str) -> str:
        """A file of the portal's own."""

    def dagster(self, path: str) -> str | None:
        """A page of Dagster's; None when there is none."""


@cache
def templates() -> Environment:
    """Everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "many": many,
        "does": does,
        "moment": moment,
        "since": since,
        "day": lambda text: (text or "")[:10],
        "short": short,
        "ticks": ticks,
        "lines": lines,
        "parts": parts,
        "prose": prose,
        "change": lambda told: said(from_json(told)),
        "meaning": lambda told, verdicts: meant(told, "", verdicts),
    }
    shared: dict[str, Any] = {
        "questions": QUESTIONS,
        "menu": MENU,
        "symbols": pictures.SYMBOLS,
        "bursts": pictures.bursts,
        "path_of": _path_of,
        "counted": words.counted,
        "consequence": words.consequence,
        "nodes_of": _domain_nodes,
        "table_nodes": _table_nodes,
    }
    made.globals.update(shared)
    return made


def html(page: Page, links: Links, **more: Any) -> str:  # noqa: ANN401 - what a template needs
    """A page as text."""
    drawn: Mapping[str, Callable[..., Markup]] = {
        "lineage": lambda nodes, edges, title, here="": pictures.lineage(nodes, edges, links, title=title, here=here),
        "timeline": lambda day: pictures.timeline(day, links),
        "histogram": pictures.histogram,
        "strip": pictures.strip,
        "durations": pictures.durations,
        "score_line": pictures.score,
    }
    template = templates().get_template(page.template)
    return template.render(
        page=page, d=page.data, href=links, live=links.live, **drawn, **page.context, **{"csrf": "", **more}
    )


@cache
def version_of(file: str) -> str:
    """Changes when a static file does, so that browsers may keep it for ever."""
    return hashlib.sha256((STATIC / file).read_bytes()).hexdigest()[:12]


def number(value: object) -> str:
    """`6,000`; nothing for nothing."""
    return "" if value is None else f"{value:,}"


def short(text: object, most: int = 120) -> str:
    """The first line, cut; not within backticks."""
    line = str(text or "").strip().split("\n", 1)[0]
    if len(line) <= most:
        return line
    kept = line[: most - 1]
    return f"{kept if kept.count('`') % 2 == 0 else kept.rpartition('`')[0].rstrip()}…"


def lines(text: str, most: int) -> str:
    """The first of them, and how many there are more."""
    found = text.splitlines()
    rest = [f"… {len(found) - most} more lines"] if len(found) > most else []
    return "\n".join([*found[:most], *rest])


def ticks(text: str | None) -> Markup:
    """What stands between backticks, as code."""
    parts = (text or "").split("`")
    if len(parts) % 2 == 0:  # one is left over: it is part of the text
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def parts(name: str) -> Markup:
    """A name that breaks, where it must, between its words."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))


def moment(text: str | None) -> Markup:
    """A moment as people read it, with all of it for machines."""
    if not text:
        return Markup("")
    return Markup('<time datetime="{}" title="{} UTC" class="one-line">{}</time>').format(
        text, text[:19].replace("T", " "), text[:16].replace("T", " ")
    )


def since(text: str | None) -> Markup:
    """How long ago."""
    if not text:
        return Markup("never")
    ago = words.ago(datetime.now(UTC) - datetime.fromisoformat(text))
    return Markup('<time datetime="{}" title="{} UTC">{} ago</time>').format(text, text[:19].replace("T", " "), ago)


def _domain_nodes(nodes: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    return [
        {
            "id": n["domain"],
            "label": n["title"],
            "note": n["status"],
            "status": n["status"],
            "path": names.path(n["domain"]),
        }
        for n in nodes
    ]


def _table_nodes(nodes: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    found = []
    for node in nodes:
        domain, _, name = node["table"].partition("/")
        path = "" if node["toolchain"] == "not part of the mesh" else names.path(node["table"], "with")
        found.append({"id": node["table"], "label": name, "note": domain, "status": node["status"], "path": path})
    return found


def _path_of(what: str, question: str = "what") -> str:
    return names.path(what, question)
