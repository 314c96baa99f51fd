"""What `pipelines:` says: which tables a chain of steps delivers, by when, and when it starts."""

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo, available_timezones

from mesh_assets.domain import Pipeline
from mesh_assets.errors import Problem, nearest
from mesh_assets.reading.cron import is_cron
from mesh_assets.reading.source import Document, Map, child, text, texts

TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
UTC = "UTC"


def read(document: Document, domain: str = "") -> tuple[tuple[Pipeline, ...], tuple[Problem, ...]]:
    """The pipelines of a mesh.yaml, or of a domain's domain.yaml, in the order of the file, and what is wrong with them.

    A pipeline with a wrong time or schedule is left out; whether its tables exist is a rule's question.
    """
    found, problems = [], []
    entries = child(document.root, "pipelines")
    for name in entries:
        entry = child(entries, name)
        wrong = [*_wrong_deadline(document, entry), *_wrong_schedule(document, entry)]
        problems += wrong
        if not wrong:
            time, _, zone = text(entry, "by").partition(" ")
            found.append(
                Pipeline(
                    name=f"{domain}/{name}" if domain else name,
                    title=text(entry, "title"),
                    delivers=tuple(_table(written, domain) for written in _delivers(entry)),
                    by=time,
                    time_zone=zone or UTC,
                    schedule=text(entry, "schedule"),
                    where=document.place(entry, "delivers"),
                )
            )
    return tuple(found), tuple(problems)


def _delivers(entry: Map) -> tuple[str, ...]:
    one = text(entry, "delivers")
    return (one,) if one else texts(entry, "delivers")


def _table(written: str, domain: str) -> str:
    """`domain/table` or `domain.table`; within a domain its own name is enough."""
    name = written.replace("/", ".", 1)
    return name if "." in name or not domain else f"{domain}.{name}"


def _wrong_deadline(document: Document, entry: Map) -> Iterator[Problem]:
    written = text(entry, "by")
    if not written:
        return
    time, _, zone = written.partition(" ")
    if not TIME.fullmatch(time):
        mend = "Write a time of day and its time zone, such as `07:00 Europe/Zurich`."
        yield document.problem("M861", f"`{written}` is no time of day", mend, entry, "by")
    elif zone and not _is_zone(zone):
        mend = nearest(zone, available_timezones(), otherwise="Write one such as `Europe/Zurich` or `UTC`.")
        yield document.problem("M861", f"there is no time zone `{zone}`", mend, entry, "by")


def _wrong_schedule(document: Document, entry: Map) -> Iterator[Problem]:
    written = text(entry, "schedule")
    if written and not is_cron(written):
        mend = "Write five fields such as `0 6 * * 1-5`, in the time zone of `by`."
        yield document.problem("M862", f"the schedule `{written}` is no cron expression", mend, entry, "schedule")


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
