"""Names that stay: a domain, a table of it, one version of that, and the five questions about each."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from mesh_assets.domain import Mesh
from mesh_assets.errors import UsageError, nearest

QUESTIONS: Mapping[str, str] = {
    "what": "What is it?",
    "where": "Where do I get it?",
    "when": "When was it made?",
    "with": "With what was it made?",
    "how": "How was it made?",
}
"""The words that stand at the end of an address, and what they ask."""
MESH = "/mesh"


class NotFound(UsageError):  # noqa: N818 - what it is
    """There is nothing of that name, or not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A domain; a table of it when `table` is not empty; one version of that when there is a `version`."""

    domain: str
    table: str = ""
    version: int | None = None

    @property
    def name(self) -> str:
        """`domain.table`, as in SQL."""
        return f"{self.domain}.{self.table}"

    def __str__(self) -> str:
        """As people spell it: `domain/table@version`."""
        version = "" if self.version is None else f"@{self.version}"
        return f"{self.domain}/{self.table}{version}" if self.table else self.domain


def parse(mesh: Mesh, text: str, *, unread: bool = False) -> Address:
    """`domain`, `domain/table` or `domain/table@version`; with a point for the stroke, too.

    Args:
        mesh: Whose names they are.
        text: The name.
        unread: Also of a domain that could not be loaded; then nobody knows whether it has such a table.

    Raises:
        NotFound: Nothing of that name is here; the nearest is offered.
    """
    words, _, version = text.partition("@")
    domain, _, table = words.replace("/", ".", 1).partition(".")
    lost = domain in mesh.broken and domain not in mesh.domains
    if lost and not unread:
        raise NotFound(f"domain `{domain}` could not be loaded\n    `mesh check` says what is wrong with it.")
    if domain not in mesh.domains and not lost:
        raise NotFound(f"there is no domain `{domain}`\n    {nearest(domain, mesh.domains)}")
    if table and f"{domain}.{table}" not in mesh.tables and not lost:
        own = [other.short for other in mesh.tables.values() if other.domain == domain]
        raise NotFound(f"domain `{domain}` has no table `{table}`\n    {nearest(table, own)}")
    if version and not (table and re.fullmatch(r"[0-9]{1,15}", version)):
        raise NotFound(f"`{text}` names no version\n    Write a number after the table: `domain/table@12`.")
    return Address(domain=domain, table=table, version=int(version) if version else None)


def path(address: Address | str, question: str = "", *, ending: str = "") -> str:
    """Where it is in the portal: `/mesh/domains/…`, each part safe in a URL."""
    words = address if isinstance(address, str) else str(address)
    parts = [quote(part, safe="@") for part in words.split("/", 1)]
    return "/".join([f"{MESH}/domains", *parts, *([question] if question else [])]) + ending


def urls(address: Address, base: str = "", questions: Iterable[str] = QUESTIONS) -> dict[str, str]:
    """The five, by question."""
    return {question: f"{base.rstrip('/')}{path(address, question)}" for question in questions}
