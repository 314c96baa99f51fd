"""Rules into a contract, and out of it: comments are kept, nothing is written that `mesh check` would refuse.

The command line and the portal call the same functions. A rule is plain data, as it stands under `quality:`.
"""

import difflib
import fcntl
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh_assets.contract import Contract
from mesh_assets.domain import Mesh, Table
from mesh_assets.errors import ConfigError, Place, RunError, UsageError, nearest
from mesh_assets.reading.odcs import read_contract
from mesh_assets.reading.quality import OFF, OPERATORS, switched_off
from mesh_assets.reading.source import maps, parse, read_text

Rule = Mapping[str, Any]
_LIST = re.compile(r"^( *)[\w-]+:[^\S\n]*(?:#[^\n]*)?\n( *)- ", re.MULTILINE)


MANAGED = frozenset(
    {"type", "engine", "implementation", "metric", "arguments", "query", "unit", "severity", "description", *OPERATORS}
)
"""Keys of a rule that a form knows; others stay as they are when the rule is changed by one."""


class Overtaken(UsageError):  # noqa: N818 - what has happened
    """A file is not any more what it was when the change was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One rule as it stands in a contract.

    Attributes:
        name: By which it is found again.
        column: Empty for a rule of the table.
        rule: As plain data.
        off: It is kept, and not executed.
        where: In its file.
    """

    name: str
    column: str
    rule: dict[str, Any]
    off: bool
    where: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of one contract file, judged and not yet written.

    Attributes:
        shown: The file as a person knows it.
        before: Its text; empty for a new file.
        contract: What the new text means.
    """

    path: Path
    shown: str
    before: str
    after: str
    contract: Contract

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        lines = difflib.unified_diff(
            self.before.splitlines(keepends=True), self.after.splitlines(keepends=True), self.shown, self.shown
        )
        return "".join(lines)

    @property
    def revision(self) -> str:
        """Of the file that the change is made to: another text has another one."""
        return revision(self.before)

    def write(self) -> None:
        """Put the file in its place, whole or not at all.

        Raises:
            Overtaken: Somebody has changed it since it was read.
            RunError: It cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(self.path.parent):
                self._put()
        except OSError as error:
            raise RunError(f"{self.shown} cannot be written: {error.strerror}\n    Check its folder.") from None

    def _put(self) -> None:
        now = self.path.read_text(encoding="utf-8-sig") if self.path.exists() else ""
        if now != self.before:
            raise Overtaken(f"{self.shown} has changed since it was read\n    Try again; nothing was written.")
        mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o644
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(self.after)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def add(mesh: Mesh, table: Table, rules: Sequence[tuple[str, Rule]]) -> Edit:
    """Rules more, each for a column (or, under an empty name, for the table).

    Raises:
        UsageError: The table has no contract, or no such column.
        ConfigError: The contract would not be one any more; every problem, where it would stand.
    """

    def change(schema: Any) -> None:  # noqa: ANN401 - ruamel's
        for column, rule in rules:
            owner = owner_of(schema, column, table)
            _put(owner, plain(rule))

    return changed(mesh, table, change)


def edit(mesh: Mesh, table: Table, name: str, changes: Rule) -> Edit:
    """A rule with some keys changed; a key whose value is None is taken out.

    Raises:
        UsageError: The contract has no rule of that name.
        ConfigError: As of `add`.
    """

    def change(schema: Any) -> None:  # noqa: ANN401 - ruamel's
        rules, place = _found(schema, table, name)
        for words, value in changes.items():
            owner, key = rules[place], words
            if words.startswith("implementation."):
                owner, key = _implementation(owner), words.partition(".")[2]
            if value is None:
                owner.pop(key, None)
            else:
                owner[key] = value

    return changed(mesh, table, change)


def remove(mesh: Mesh, table: Table, name: str) -> Edit:
    """The contract without a rule.

    Raises:
        UsageError: The contract has no rule of that name.
    """

    def change(schema: Any) -> None:  # noqa: ANN401 - ruamel's
        rules, place = _found(schema, table, name)
        if ends_with_comment(rules[place]):  # it stands above what comes next, and would go with the rule
            mend = (
                f"Take the rule out by hand, or move the comment: {table.contract.where.path if table.contract else ''}"
            )
            raise UsageError(f"a comment stands below the rule `{name}`\n    {mend}")
        rules.pop(place)
        if not rules:
            for owner in _owners(schema):
                if owner.get("quality") is rules:
                    owner.pop("quality")

    return changed(mesh, table, change)


def revise(mesh: Mesh, table: Table, name: str, rule: Rule) -> Edit:
    """A rule that says something else: what a form knows of is replaced, everything else in it stays.

    Raises:
        UsageError: The contract has no rule of that name.
        ConfigError: As of `add`.
    """

    def change(schema: Any) -> None:  # noqa: ANN401 - ruamel's
        rules, place = _found(schema, table, name)
        owner, new = rules[place], plain(rule)
        for key in [key for key in owner if key in MANAGED and key not in new]:
            owner.pop(key)
        for key, value in new.items():
            if key not in owner or not _same(owner[key], value):
                owner[key] = value

    return changed(mesh, table, change)


def switch(mesh: Mesh, table: Table, name: str, *, on: bool) -> Edit:
    """A rule that is executed, or is kept without being executed.

    Raises:
        UsageError: The contract has no rule of that name.
    """

    def change(schema: Any) -> None:  # noqa: ANN401 - ruamel's
        rules, place = _found(schema, table, name)
        rule = rules[place]
        extras = [one for one in rule.get("customProperties") or [] if one.get("property") != OFF]
        if not on:
            rule.setdefault("id", name)  # a rule that is not executed has no other name
            extras.append(plain({"all": {"property": OFF, "value": True}})["all"])
        if extras:
            rule["customProperties"] = extras
        else:
            rule.pop("customProperties", None)

    return changed(mesh, table, change)


def written(mesh: Mesh, table: Table) -> tuple[Written, ...]:
    """The rules under `quality:` of a table's contract, those of its columns first; empty without a contract.

    Raises:
        ConfigError: The file cannot be read.
    """
    if table.contract is None:
        return ()
    shown = table.contract.where.path
    document = parse(read_text(mesh.root / shown, shown), shown)
    named = {test.where: test.name for test in table.contract.tests}  # by line and column: a file may be one line
    schema = next(iter(maps(document.root, "schema")), None)
    found: list[Written] = []
    for owner in (*maps(schema, "properties"), schema) if schema is not None else ():
        column = "" if owner is schema else str(owner.get("physicalName") or owner.get("name"))
        for rule in maps(owner, "quality"):
            where = document.place(rule, next(iter(rule), ""))
            name = named.get(where) or str(rule.get("id") or rule.get("name") or "")
            found.append(Written(name=name, column=column, rule=_bare(rule), off=switched_off(rule), where=where))
    return tuple(found)


def restored(mesh: Mesh, table: Table, *, before: str, after: str) -> Edit:
    """The contract's file as it was before a change; only while it still is what the change has made of it.

    Raises:
        Overtaken: It has changed since.
    """
    if table.contract is None:
        raise UsageError(f"{table.name.replace('.', '/')} has no contract\n    Nothing can be taken back.")
    shown = table.contract.where.path
    if read_text(mesh.root / shown, shown) != after:
        mend = "Change it by a new change: taking this one back would undo what came after it."
        raise Overtaken(f"{shown} has changed since\n    {mend}")
    return _judged(mesh, table, shown, before=after, after=before)


def contract_of(table: Table) -> Contract:
    """The table's contract.

    Raises:
        UsageError: It has none.
    """
    if table.contract is None:
        mend = f"Write domains/{table.domain}/contracts/{table.short}.odcs.yaml with its columns first."
        raise UsageError(f"{table.name.replace('.', '/')} has no contract\n    {mend}")
    return table.contract


def revision(text: str) -> str:
    """Names a text: another text has another one."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """One writer at a time in a folder, of all processes: between the look at a file and its change nobody writes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _bare(value: Any) -> Any:  # noqa: ANN401 - of YAML
    """Plain dictionaries and lists."""
    if isinstance(value, Mapping):
        return {key: _bare(item) for key, item in value.items()}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def changed(mesh: Mesh, table: Table, change: Callable[[Any], None]) -> Edit:
    """The contract's file after a change of its table, given as ruamel's tree.

    Raises:
        UsageError: The table has no contract.
        ConfigError: As of `add`.
    """
    shown = contract_of(table).where.path
    before = read_text(mesh.root / shown, shown)
    yaml = editor(before)
    tree, schema = _tree(yaml, before)
    if schema is None:  # somebody has broken it by hand since the mesh was read
        raise ConfigError(problems=read_contract(parse(before, shown), table.domain, table.short).problems)
    change(schema)
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return _judged(mesh, table, shown, before=before, after=stream.getvalue())


def _tree(yaml: Any, text: str) -> tuple[Any, Any]:  # noqa: ANN401 - ruamel's
    """The file, and its table; None for the table where there is none to be changed."""
    from ruamel.yaml.error import YAMLError

    try:
        tree = yaml.load(text)
        schema = tree["schema"][0]
    except (YAMLError, TypeError, KeyError, IndexError):
        return None, None
    return tree, schema if isinstance(schema, Mapping) else None


def _judged(mesh: Mesh, table: Table, shown: str, *, before: str, after: str) -> Edit:
    """The change, when what comes of it is a contract."""
    reading = read_contract(parse(after, shown), table.domain, table.short)
    if reading.problems or reading.contract is None:
        raise ConfigError(problems=reading.problems)
    return Edit(path=mesh.root / shown, shown=shown, before=before, after=after, contract=reading.contract)


def editor(text: str) -> Any:  # noqa: ANN401 - ruamel's
    """A reader and writer of YAML that keeps comments, and indents lists as the text does."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.brace_single_entry_mapping_in_flow_sequence = True  # `[{role: reader}]` stays so
    yaml.width = 4096
    found = _LIST.search(text)
    offset = len(found.group(2)) - len(found.group(1)) if found else 2
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml


def dumped(yaml: Any, tree: Any) -> str:  # noqa: ANN401 - ruamel's
    """A document as text."""
    stream = io.StringIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def with_values(text: str, change: Callable[[Any], Iterable[tuple[Any, str, str]]]) -> str:
    """A document with other values; everything else keeps its owner's spelling.

    Args:
        change: From the document to mappings in it, a key of each, and the text that it is to have.
    """
    yaml = editor(text)
    tree = yaml.load(text)
    lines, edits = text.splitlines(keepends=True), list(change(tree))
    places = [(*owner.lc.value(key), str(owner[key]), new) for owner, key, new in edits]
    for line, column, old, new in sorted(places, reverse=True):
        found = re.compile(rf"(['\"]?){re.escape(old)}\1(?=[\s,}}\]]|$)").match(lines[line], column)
        if found is not None:
            lines[line] = f"{lines[line][:column]}{found[1]}{new}{found[1]}{lines[line][found.end() :]}"
    for owner, key, new in edits:
        owner[key] = new
    made = "".join(lines)
    # What is spelt by an escape or an anchor, or needs quotes now, is written anew with the whole document.
    return made if _means(made) == tree else dumped(yaml, tree)


def _means(text: str) -> Any:  # noqa: ANN401 - ruamel's
    from ruamel.yaml.error import YAMLError

    try:
        return editor(text).load(text)
    except YAMLError:
        return None


def _put(owner: Any, rule: Any) -> None:  # noqa: ANN401 - ruamel's
    """The rule last; but before what a comment follows, for that comment belongs to what comes next in the file."""
    rules = owner.get("quality")
    if rules is not None:
        rules.insert(len(rules) - ends_with_comment(rules), rule)
    else:
        owner.insert(len(owner) - ends_with_comment(owner), "quality", [rule])


def ends_with_comment(node: Any) -> bool:  # noqa: ANN401 - ruamel's
    """Whether lines of comment follow its last value."""
    if not isinstance(node, Mapping | list) or not node:
        return False
    return comment_follows(node, list(node)[-1] if isinstance(node, Mapping) else len(node) - 1)


def comment_follows(node: Any, key: object) -> bool:  # noqa: ANN401 - of YAML
    """Whether lines of comment follow the value under a key: they would go with it."""
    tokens = node.ca.items.get(key) or () if hasattr(node, "ca") else ()
    if any("#" in getattr(token, "value", "").partition("\n")[2] for token in tokens if token):
        return True
    return ends_with_comment(node[key])


def _implementation(rule: Any) -> Any:  # noqa: ANN401 - ruamel's
    """The parameters of a rule of the library, also where only its name is written."""
    if not isinstance(rule.get("implementation"), Mapping):
        rule["implementation"] = plain({"implementation": {"test": rule.get("implementation")}})["implementation"]
    return rule["implementation"]


def _owners(schema: Any) -> Iterator[Any]:  # noqa: ANN401 - ruamel's
    yield schema
    yield from schema.get("properties") or ()


def owner_of(schema: Any, column: str, table: Table) -> Any:  # noqa: ANN401 - ruamel's
    """The column, or the table under an empty name."""
    if not column:
        return schema
    by_name = {str(one.get("physicalName") or one.get("name")): one for one in schema.get("properties") or ()}
    by_name |= {str(one.get("name")): one for one in schema.get("properties") or ()}
    if column not in by_name:
        raise UsageError(f"{table.name.replace('.', '/')} has no column `{column}`\n    {nearest(column, by_name)}")
    return by_name[column]


def _found(schema: Any, table: Table, name: str) -> tuple[Any, int]:  # noqa: ANN401 - ruamel's
    """The list that holds the rule, and its place there. A rule without an id is found by where its test stands."""
    for owner in _owners(schema):
        rules = owner.get("quality") or []
        for place, rule in enumerate(rules):
            if name in (rule.get("id"), rule.get("name")):
                return rules, place
    tests = {test.name: test for test in table.contract.tests} if table.contract else {}
    if name in tests:
        for owner in _owners(schema):
            rules = owner.get("quality") or []
            for place, rule in enumerate(rules):
                line, column = rule.lc.key(next(iter(rule)))
                if (line + 1, column + 1) == (tests[name].where.line, tests[name].where.column):
                    return rules, place
        mend = f"It is said at {tests[name].where}: change it there."
        raise UsageError(f"`{name}` is no rule under `quality:`\n    {mend}")
    raise UsageError(f"{table.name.replace('.', '/')} has no test `{name}`\n    {nearest(name, tests)}")


def _same(old: object, new: object) -> bool:
    """Whether a key need not be written anew; how a text ends depends on how it was written."""
    return old == new or (isinstance(old, str) and isinstance(new, str) and old.strip() == new.strip())


def plain(rule: Rule) -> Any:  # noqa: ANN401 - ruamel's
    """As YAML that reads well: a block, with its parameters on one line, and a text of several lines as it is."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import LiteralScalarString

    def flow(value: Any) -> Any:  # noqa: ANN401 - ruamel's
        if isinstance(value, Mapping):
            made = CommentedMap({key: flow(item) for key, item in value.items()})
        elif isinstance(value, list | tuple):
            made = CommentedSeq([flow(item) for item in value])
        else:
            return value
        made.fa.set_flow_style()
        return made

    def block(value: Any) -> Any:  # noqa: ANN401 - ruamel's
        lines = isinstance(value, str) and "\n" in value
        return LiteralScalarString(value.rstrip("\n") + "\n") if lines else flow(value)

    return CommentedMap({key: block(value) for key, value in rule.items()})
