"""The reading pages as files: they work from disk and from any web server, and every link among them leads somewhere."""

import os
import posixpath
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

from mesh_assets.address import NotFound
from mesh_assets.errors import UsageError
from mesh_assets.portal import api, aside, deliveries, pages, refills, render, telling, trouble
from mesh_assets.portal.pages import Moved
from mesh_assets.portal.site import View
from mesh_assets.store import now

BEGIN = ("/mesh/", "/mesh/tables", "/mesh/status")
"""Pages that everything else is linked from."""
READING: pages.Routes = (*(*telling.ROUTES, *trouble.PAGES, *deliveries.ROUTES, *refills.PAGES, *aside.PAGES),)
"""Pages beside those of `pages`. Kitchens and jobs are work, and stay out."""
VERSIONS = 3
"""Of each table, how many of the newest have pages."""
ABOUT = ".mesh-site"
"""Marks a folder that an export has written: only such a one is written over."""


@dataclass(slots=True)
class FileLinks:
    """Links of one file to others: relative; none to what is not written."""

    folder: str
    known: set[str]
    todo: deque[str]
    view: View
    server: str = ""
    live: bool = False

    def __call__(self, path: str) -> str | None:
        """A page that is, or will be, among the files."""
        if not exported(self.view, path):
            return None
        if path not in self.known:
            self.known.add(path)
            self.todo.append(path)
        return quote(posixpath.relpath(file_of(path), self.folder or "."))

    def static(self, file: str) -> str:
        """Beside the first page."""
        return posixpath.relpath(file, self.folder or ".")

    def dagster(self, path: str) -> str | None:
        """On a server, when one was named."""
        return f"{self.server}{path}" if self.server else None


@dataclass(slots=True)
class Written:
    """What an export has written."""

    pages: int = 0
    files: list[str] = field(default_factory=list)


def export(view: View, target: Path, *, dagster: str = "") -> Written:
    """Write every reading page below a folder, from the first page along every link.

    Args:
        view: The mesh as it stands.
        target: A new folder, an empty one, or one that an export has written before.
        dagster: Address of a Dagster that readers of the files can reach; empty: no links to it.

    Raises:
        UsageError: There is something else in the folder; nothing is written.
    """
    _prepare(target)
    written, todo, known = Written(), deque(BEGIN), set(BEGIN)
    moment = now()
    while todo:
        path = todo.popleft()
        file = file_of(path)
        links = FileLinks(posixpath.dirname(file), known, todo, view, dagster.rstrip("/"))
        _write(target, file, _text(view, path, links, moment))
        written.files.append(file)
        written.pages += file.endswith(".html")
    for name in (render.STYLE, render.SCRIPT):
        shutil.copyfile(render.STATIC / name, target / name)
    return written


def exported(view: View, path: str) -> bool:
    """Whether a page has a file: of versions only the newest few, of lists no selection, of work nothing."""
    bare, _, query = path.partition("?")
    words = unquote(bare)
    if words.startswith(("/mesh/jobs/", "/mesh/kitchens", "/mesh/access")) or parse_qs(query).keys() - {
        "page",
        "launch",
    }:
        return False
    if "@" not in words:
        return True
    table, _, version = words.removeprefix("/mesh/domains/").partition("@")
    number = version.partition("/")[0]
    return number.isdigit() and int(number) in _newest(view, table.replace("/", ".", 1))


def file_of(path: str) -> str:
    """`/mesh/domains/a/b/what` is in `domains/a/b/what.html`."""
    bare, _, query = path.partition("?")
    words = unquote(bare).removeprefix("/mesh").strip("/")
    words = "/".join(
        "".join(c if c.isalnum() or c in "@._- " else f"~{ord(c):x}" for c in part) for part in words.split("/")
    )
    if words.endswith((".yaml", ".jsonld")):
        return words
    asked = {key: values[0] for key, values in parse_qs(query).items()}
    number, launch = asked.get("page", "1"), asked.get("launch", "")
    suffix = ("" if number == "1" else f".page-{number}") + (f".launch-{launch}" if launch else "")
    depth = words.count("/")
    if not words:
        return f"index{suffix}.html"
    return f"{words}/index{suffix}.html" if words.startswith("domains/") and depth == 1 else f"{words}{suffix}.html"


def _newest(view: View, table: str) -> Iterator[int]:
    return (version.version for version in view.env.ledger.history(table, limit=VERSIONS))


def _text(view: View, path: str, links: FileLinks, moment: str) -> str:
    if document := api.document(view, path):
        return bytes(document.body).decode()
    bare, _, query = path.partition("?")
    words = {key: values[0] for key, values in parse_qs(query).items()}
    try:
        page = pages.find(view, bare, words, more=READING)
    except Moved as moved:
        raise NotFound(f"{path} is at {moved.path}") from None
    title = view.env.mesh.title or view.env.mesh.name
    return render.html(
        page, links, mesh_title=title, read_only=False, refresh=False, query=words, snapshot=view.standing.head,
        root_dagster=links.dagster("/asset-groups"), written=moment,
    )  # fmt: skip


def _prepare(target: Path) -> None:
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / ABOUT).exists())):
        raise UsageError(f"{target} holds something else\n    Name a new folder; nothing there was changed.")
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    (target / ABOUT).write_text("Written by `mesh export-site`; the next export writes it anew.\n", encoding="utf-8")


def _write(target: Path, file: str, text: str) -> None:
    path = Path(os.path.normpath(target / file))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
