"""YAML text to plain values, with a position for every key.

YAML 1.2 as people mean it: `no` and `12:30` are text, dates are text, only `true` and `false` are booleans. What makes
YAML dangerous or ambiguous is refused: aliases, tags, a key twice, several documents, more than 1 MB, deep nesting. The
text is read as libyaml's stream of events, never as its node tree: building that tree recurses, and deep nesting would
take the process down with it.
"""

import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yaml import CBaseLoader, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from mesh_assets.errors import ConfigError, Place, Problem

LIMIT = 1_000_000  # bytes; a contract of 10,000 columns is smaller
DEPTH = 50  # levels; the deepest place that the standard names is 14 levels down

INTEGER = re.compile(r"[-+]?[0-9]{1,40}|0x[0-9a-fA-F]{1,32}|0o[0-7]{1,40}", re.ASCII)
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
STARTS_SPECIAL = frozenset("+-.0123456789tTfFnN~")

# What libyaml says, in our words: (a part of its sentence, what is wrong, how to mend it).
SYNTAX = (
    ("found character '\\t'", "a tab where YAML wants spaces", "Indent with spaces."),
    ("cannot start any token", "a character that no value may start with", "Put the value in quotes."),
    (
        "mapping values are not allowed",
        "a second `:` that YAML takes for another key",
        "Put the value in quotes, or start a new line.",
    ),
    (
        "while scanning an alias",
        "a value that starts with `*`, which YAML takes for an alias",
        "Put the value in quotes.",
    ),
    (
        "while scanning an anchor",
        "a value that starts with `&`, which YAML takes for an anchor",
        "Put the value in quotes.",
    ),
    (
        "could not find expected ':'",
        "a line that is no `key: value`",
        "Write `key: value`, with a space after the colon.",
    ),
    ("unexpected end of stream", "a quote that is never closed", "Close the quote."),
    (
        "did not find expected ',' or",
        "a `[` or `{` that is never closed",
        "Close it, and put a comma between its items.",
    ),
    (
        "did not find expected key",
        "a line whose indentation fits nothing above it",
        "Indent it like the other keys of its group; quote a value that holds `: `, `#` or quotes.",
    ),
    (
        "did not find expected '-' indicator",
        "a line in a list that starts with no `-`",
        "Start each item of the list with `- `, all at the same indentation.",
    ),
    (
        "unknown escape character",
        "an escape that YAML does not know",
        "Use single quotes, where `\\` is an ordinary character.",
    ),
    ("control characters are not allowed", "a control character", "Take the character out."),
    ("found undefined tag", "a YAML tag", "Take out the word that starts with `!`."),
)


class Map(dict[str, Any]):
    """A YAML mapping; `marks` holds the place of every key: its `line` and `column`, from 0."""

    __slots__ = ("marks",)

    def __init__(self) -> None:
        super().__init__()
        self.marks: dict[str, Any] = {}


class Seq(list[Any]):
    """A YAML list; `marks` holds the place of every item: its `line` and `column`, from 0."""

    __slots__ = ("marks",)

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[Any] = []


class Refused(Exception):  # noqa: N818 - never leaves this module
    """Why the text is not read."""

    def __init__(self, code: str, what: str, mend: str, mark: tuple[int, int] = (0, 0)) -> None:
        super().__init__(what)
        self.code, self.what, self.mend, self.mark = code, what, mend, mark


class Document:
    """One file, read: its values and where they stand.

    Attributes:
        path: As it is shown to a person: relative to the mesh, with forward slashes.
        root: The outermost value; a `Map` in every file of a mesh.
    """

    __slots__ = ("path", "root")

    def __init__(self, path: str, root: Any) -> None:
        self.path = path
        self.root = root

    def place(self, parent: object = None, key: str | int = "") -> Place:
        """Where a key of a mapping, or an item of a list, stands; the first line for what is not there."""
        line, column = _mark(parent, key)
        return Place(self.path, line + 1, column + 1)

    def problem(self, code: str, what: str, mend: str, parent: object = None, key: str | int = "") -> Problem:
        """What is wrong with a key of a mapping or an item of a list."""
        return Problem(code, what, self.place(parent, key), mend)


def text(parent: Map, key: str, default: str = "") -> str:
    """The text under a key; `default` when there is none, or something else."""
    value = parent.get(key)
    return value if isinstance(value, str) else default


def flag(parent: Map, key: str) -> bool:
    """Whether a key says `true`."""
    return parent.get(key) is True


def child(parent: Map, key: str) -> Map:
    """The mapping under a key; an empty one when there is none, or something else."""
    value = parent.get(key)
    return value if isinstance(value, Map) else Map()


def items(parent: Map, key: str) -> Seq:
    """The list under a key; an empty one when there is none, or something else."""
    value = parent.get(key)
    return value if isinstance(value, Seq) else Seq()


def maps(parent: Map, key: str) -> list[Map]:
    """The mappings in the list under a key."""
    value = parent.get(key)
    return [item for item in value if isinstance(item, Map)] if isinstance(value, Seq) else []


def texts(parent: Map, key: str) -> tuple[str, ...]:
    """The texts in the list under a key; a single text counts as a list of one."""
    value = parent.get(key)
    return (value,) if isinstance(value, str) else tuple(item for item in items(parent, key) if isinstance(item, str))


def load(path: Path, shown: str) -> Document:
    """The file's document; its root is a mapping.

    Args:
        path: The file to read.
        shown: Its name in messages.

    Raises:
        ConfigError: The one reason why the file is not read.
    """
    return parse(read_text(path, shown), shown)


def parse(text: str, shown: str) -> Document:
    """The text's document; its root is a mapping.

    Raises:
        ConfigError: The one reason why the text is not read.
    """
    try:
        root = _build(text)
    except Refused as refused:
        raise _error(refused, shown) from None
    return Document(shown, root)


def read_text(path: Path | str, shown: str, limit: int = LIMIT) -> str:
    """The text of a file that a person wrote.

    Raises:
        ConfigError: It is missing, no file, too large or not UTF-8.
    """
    try:
        return _text(path, limit)
    except Refused as refused:
        raise _error(refused, shown) from None


def _error(refused: Refused, shown: str) -> ConfigError:
    line, column = refused.mark
    return ConfigError(problems=[Problem(refused.code, refused.what, Place(shown, line + 1, column + 1), refused.mend)])


def _text(path: Path | str, limit: int) -> str:
    try:
        descriptor = os.open(
            path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
        )  # a named pipe must not hang us
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise Refused("M001", "this is not a file", "Put a text file here.")
            content = file.read(min(found.st_size, limit) + 1)
    except FileNotFoundError:
        raise Refused("M001", "this file does not exist", "Create it, or correct the path.") from None
    except IsADirectoryError:
        raise Refused("M001", "this is a folder, not a file", "Put a text file here.") from None
    except PermissionError:
        raise Refused("M001", "this file may not be read", "Give yourself the right to read it.") from None
    except OSError as error:
        raise Refused(
            "M001", f"this file cannot be read: {error.strerror or 'the disk refuses'}", "Check the file and its disk."
        ) from None
    if len(content) > limit:
        raise Refused("M004", f"the file is larger than {limit // 1_000_000} MB", "Keep data out of it, or split it.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        mark = before.count(b"\n"), len(before) - (before.rfind(b"\n") + 1)
        raise Refused("M005", "the file is not UTF-8 from here on", "Save it as UTF-8.", mark) from None


def _build(text: str) -> Map:
    if not text.strip():
        raise Refused("M003", "the file is empty", "Write its content, or delete the file.")
    if (bad := text.find("\0")) >= 0:  # libyaml takes it for the end
        what = "YAML cannot be read from here on: a control character"
        raise Refused("M006", what, "Take the character out.", (text.count("\n", 0, bad), 0))
    root, documents = _tree(_events(text))
    if documents == 0:
        raise Refused("M003", "the file holds nothing but comments", "Write its content, or delete the file.")
    if not isinstance(root, Map):
        raise Refused("M006", "the file is no mapping", "Write `key: value` lines.")
    return root


def _tree(events: Iterator[Any]) -> tuple[Any, int]:
    """Events to one value, and how many documents there are. Without recursion: open containers lie on a stack.

    One loop with nothing called for most events: in a mesh of a thousand domains there are three hundred thousand.
    """
    root: Any = None
    documents = 0
    outer: list[tuple[Map | Seq | None, Any, str | None]] = []  # containers, where they began, and their keys in use
    parent: Map | Seq | None = None
    began: Any = None
    key: str | None = None
    for event in events:
        kind = type(event)
        if kind is ScalarEvent:
            if event.tag is not None and event.tag != "!":
                raise _tagged(event)
            if key is None and type(parent) is Map:
                key = event.value
                if key in parent.marks:
                    raise _twice(parent, event)
                parent.marks[key] = event.start_mark
                continue
            value, mark = event.value if event.style else _scalar(event.value), event.start_mark
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            value, mark = parent, began
            parent, began, key = outer.pop()
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            _may_open(event, len(outer), is_key=key is None and type(parent) is Map)
            outer.append((parent, began, key))
            parent, began, key = Map() if kind is MappingStartEvent else Seq(), event.start_mark, None
            continue
        else:
            documents += _document(event, documents)
            continue
        if type(parent) is Map:
            parent[key or ""] = value
            key = None
        elif type(parent) is Seq:
            parent.append(value)
            parent.marks.append(mark)
        else:
            root = value
    return root, documents


def _may_open(event: Any, depth: int, *, is_key: bool) -> None:
    if event.tag is not None:
        raise _tagged(event)
    if is_key:
        raise Refused("M006", "a key that is a list or a mapping", "Write the key as text.", _at(event))
    if depth >= DEPTH:
        mend = "Close the brackets, or flatten it."
        raise Refused("M006", f"more than {DEPTH} levels of nesting", mend, _at(event))


def _document(event: Any, before: int) -> int:
    """How many documents begin with this event."""
    if type(event) is AliasEvent:
        mend = "Write the value out: aliases are not read here."
        raise Refused("M008", f"`*{event.anchor}` is a YAML alias", mend, _at(event))
    if type(event) is not DocumentStartEvent:
        return 0
    if before:
        mend = "Keep one document: take out the `---`."
        raise Refused("M006", "a second document in the file", mend, _at(event))
    return 1


def _tagged(event: Any) -> Refused:
    return Refused("M008", "a YAML tag", "Take out the word that starts with `!`.", _at(event))


def _twice(parent: Map, event: Any) -> Refused:
    first, mark = parent.marks[event.value].line + 1, _at(event)
    mend = f"Keep one of lines {first} and {mark[0] + 1}."
    return Refused("M007", f"`{event.value}` is here twice: first on line {first}", mend, mark)


def _events(text: str) -> Iterator[Any]:
    try:
        parser = CBaseLoader(text)
        while (event := parser.get_event()) is not None:
            yield event
    except YAMLError as error:
        raise _syntax(error, text) from None
    except UnicodeEncodeError as error:
        raise Refused(
            "M005", "half a character", "Save the file as UTF-8.", (text.count("\n", 0, error.start), 0)
        ) from None


def _syntax(error: YAMLError, text: str) -> Refused:
    context = getattr(error, "context", None) or ""
    said = f"{context} {getattr(error, 'problem', None) or getattr(error, 'reason', None) or ''}"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if "quoted scalar" in context or "flow" in context:
        mark = getattr(error, "context_mark", None) or mark  # where the quote or bracket opens, not where the file ends
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if mark and text.splitlines()[line : line + 1] and text.splitlines()[line][column : column + 1] == "\t":
        said = "found character '\\t'"
    if not mark and isinstance(position := getattr(error, "position", None), int):
        line = text.count("\n", 0, position)
    what, mend = next(
        ((what, mend) for part, what, mend in SYNTAX if part in said),
        ("this is no YAML", "Look at the indentation, the colons and the quotes here and on the line before."),
    )
    return Refused("M006", f"YAML cannot be read from here on: {what}", mend, (line, column))


def _scalar(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2; numbers that no finite number can hold stay text."""
    if text and text[0] not in STARTS_SPECIAL:
        return text
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
    if FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def _at(event: Any) -> tuple[int, int]:
    return event.start_mark.line, event.start_mark.column


def _mark(parent: object, key: str | int) -> tuple[int, int]:
    mark = None
    if isinstance(parent, Map) and isinstance(key, str):
        mark = parent.marks.get(key) or next(iter(parent.marks.values()), None)
    elif isinstance(parent, Seq) and isinstance(key, int) and key < len(parent.marks):
        mark = parent.marks[key]
    return (mark.line, mark.column) if mark else (0, 0)
