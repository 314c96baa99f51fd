"""A function in Python that reads a port whose columns have new names, so that it is given the old ones: texts to texts.

Nothing of its body is changed: what comes in is named as before in a line of its own, ahead of everything. Where what is declared is not
written out, a person has to change it.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

RENAMES = {
    "pandas": "{name}.rename(columns={{{pairs}}})",
    "polars": "{name}.rename({{{pairs}}})",
    "pyarrow": "{name}.rename_columns({{{pairs}}})",
    "duckdb": "{name}.select('* rename ({sql})')",
}
"""How a frame is told other names for its columns, by the package whose it is."""
Edit = tuple[int, int, int, str]
"""A line from 1, the bytes from which to which, and what stands there instead."""


class _ByHand(Exception):  # noqa: N818 - never leaves this module
    """A person has to write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a function reads, and is to read: `port` and `successor` as `domain.table`, which may be the same; new names by old ones."""

    port: str
    successor: str
    renamed: Mapping[str, str]


def function_at(text: str, line: int) -> str:
    """The name of the function whose decorator or `def` stands on a line; empty where there is none."""
    found = (node.name for node in _functions(text) if _first(node) <= line <= (node.end_lineno or line))
    return next(found, "")


def reading(text: str, function: str, wanted: Reading) -> str | None:
    """The text in which the function reads what is wanted; None where a person has to write it."""
    try:
        node = next(one for one in _functions(text) if one.name == function)
        edits = [*_declared(text, node, wanted), *_parameter(text, node, wanted)]
        line = _named(ast.parse(text), node, wanted)
    except (_ByHand, StopIteration):
        return None
    lines = [one.encode() for one in text.splitlines(keepends=True)]
    for number, start, end, new in sorted(edits, reverse=True):
        before = lines[number - 1]
        lines[number - 1] = before[:start] + new.encode() + before[end:]
    if line:
        first = _body(node)
        lines.insert(first.lineno - 1, f"{' ' * first.col_offset}{line}\n".encode())
    return b"".join(lines).decode()


def _functions(text: str) -> Iterator[ast.FunctionDef]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    yield from (node for node in tree.body if isinstance(node, ast.FunctionDef))


def _first(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])


def _declared(text: str, node: ast.FunctionDef, wanted: Reading) -> Iterator[Edit]:
    """The port's name and its columns, in the decorator."""
    call = next((one for one in node.decorator_list if isinstance(one, ast.Call)), None)
    options = {one.arg: one.value for one in call.keywords} if call else {}
    inputs = options.get("inputs")
    if not isinstance(inputs, ast.List | ast.Tuple) or None in options:
        raise _ByHand
    named = [item for item in inputs.elts if _said(item) == wanted.port]
    if len(named) != 1:
        raise _ByHand
    yield _instead(text, named[0], wanted.successor)
    columns = options.get("columns")
    if columns is not None:
        yield from _columns(text, columns, wanted)


def _columns(text: str, columns: ast.expr, wanted: Reading) -> Iterator[Edit]:
    if not isinstance(columns, ast.Dict) or None in columns.keys:
        raise _ByHand
    for key, value in zip(columns.keys, columns.values, strict=True):
        if _said(key) != wanted.port:
            continue
        if not isinstance(value, ast.List | ast.Tuple):
            raise _ByHand
        yield _instead(text, key, wanted.successor)
        for item in value.elts:
            if _said(item) in wanted.renamed:
                yield _instead(text, item, wanted.renamed[_said(item)])
            elif _said(item).lower() in map(str.lower, wanted.renamed):
                raise _ByHand  # another spelling: how the frame calls it is not written here


def _parameter(text: str, node: ast.FunctionDef, wanted: Reading) -> Iterator[Edit]:
    old, new = (name.partition(".")[2] for name in (wanted.port, wanted.successor))
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    mine = next((one for one in every if one.arg == old), None)
    if mine is None or (new != old and any(one.arg == new for one in every)):
        raise _ByHand
    if new != old:
        start = mine.col_offset
        yield mine.lineno, start, start + len(old.encode()), new
    if text.splitlines()[_body(node).lineno - 1][: _body(node).col_offset].strip():
        raise _ByHand  # the body stands on the line of the `def`


def _named(tree: ast.Module, node: ast.FunctionDef, wanted: Reading) -> str:
    """The line by which what comes in is called as before, and its columns are; empty where it is already."""
    old, new = (name.partition(".")[2] for name in (wanted.port, wanted.successor))
    given = _given(node, wanted)
    if not given:
        return f"{old} = {new}" if old != new else ""
    argument = next(one for one in [*node.args.args, *node.args.posonlyargs, *node.args.kwonlyargs] if one.arg == old)
    package = _package(tree, argument.annotation)
    pairs = ", ".join(f'"{after}": "{before}"' for before, after in given.items())
    sql = ", ".join(f'"{after}" as "{before}"' for before, after in given.items())
    return f"{old} = " + RENAMES[package].format(name=new, pairs=pairs, sql=sql)


def _given(node: ast.FunctionDef, wanted: Reading) -> dict[str, str]:
    """New names by old ones, of the columns that the function is given: those that it declares, else all."""
    if any(set("\"'\\") & set(name) for pair in wanted.renamed.items() for name in pair):
        raise _ByHand
    for call in (one for one in node.decorator_list if isinstance(one, ast.Call)):
        for option in call.keywords:
            if option.arg == "columns" and isinstance(option.value, ast.Dict):
                for key, value in zip(option.value.keys, option.value.values, strict=True):
                    if _said(key) == wanted.port and isinstance(value, ast.List | ast.Tuple):
                        declared = {_said(item) for item in value.elts}
                        return {before: after for before, after in wanted.renamed.items() if before in declared}
    return dict(wanted.renamed)


def _package(tree: ast.Module, annotation: ast.expr | None) -> str:
    """Whose frame a parameter is, by its annotation and the imports at the top."""
    if annotation is None:
        return "duckdb"
    root = annotation
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name):
        raise _ByHand
    for node in tree.body:
        if isinstance(node, ast.Import):
            for one in node.names:
                if (one.asname or one.name.partition(".")[0]) == root.id:
                    return _known(one.name)
        if isinstance(node, ast.ImportFrom) and any((one.asname or one.name) == root.id for one in node.names):
            return _known(node.module or "")
    raise _ByHand


def _known(module: str) -> str:
    package = module.partition(".")[0]
    if package not in RENAMES:
        raise _ByHand
    return package


def _body(node: ast.FunctionDef) -> ast.stmt:
    """The first statement after what the function says of itself."""
    says = ast.get_docstring(node) is not None
    if len(node.body) <= says:
        raise _ByHand
    return node.body[1 if says else 0]


def _said(node: ast.expr | None) -> str:
    """What is written out as a text; empty where it is something else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _instead(text: str, node: ast.expr | None, new: str) -> Edit:
    """Another text in its place, in the same quotes."""
    segment = ast.get_source_segment(text, node) if node is not None else None
    if node is None or segment not in (f'"{_said(node)}"', f"'{_said(node)}'"):
        raise _ByHand
    return node.lineno, node.col_offset, node.end_col_offset or 0, f"{segment[0]}{new}{segment[0]}"
