"""A domain's `checks.py` to the tables that it has pandera schemas for: read with `ast`, never imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mesh_assets.errors import ConfigError, Place, Problem
from mesh_assets.reading.draft import Reference, digest
from mesh_assets.reading.pyread import python_files
from mesh_assets.reading.source import read_text

FILE = "checks.py"
DECORATOR = "schema_for"


@dataclass(slots=True)
class ChecksRead:
    """What a domain's `checks.py` attaches, and what is wrong with it.

    Attributes:
        schemas: The tables, as `domain.table`, in the order of the file.
        code: Hash of the file and of the domain's other Python, which it may use; tables' own code is left out.
    """

    schemas: list[Reference] = field(default_factory=list)
    code: str = ""
    problems: list[Problem] = field(default_factory=list)


def read_checks(folder: Path, shown: str, domain: str) -> ChecksRead:
    """The tables that `checks.py` in a domain's folder has schemas for; none when there is no such file."""
    result, name = ChecksRead(), f"{shown}/{FILE}"
    try:
        tree = ast.parse(read_text(folder / FILE, name))
        result.code = digest(_texts(folder, shown))
    except ConfigError as error:
        result.problems += error.problems
    except SyntaxError as error:
        where = Place(name, error.lineno or 1, error.offset or 1)
        mend = "Look for a missing colon, bracket or quote."
        result.problems.append(Problem("M550", "this is no Python from here on", where, mend))
    except (ValueError, RecursionError, MemoryError):
        mend = "Take out what a program put in."
        result.problems.append(Problem("M550", "this file is no Python that can be read", Place(name), mend))
    else:
        _Module(tree, name, domain, result).read()
    return result


def _texts(folder: Path, shown: str) -> Iterator[str]:
    for file in python_files(folder):
        name = file.relative_to(folder).as_posix()
        if name != "assets.py" and not file.is_symlink():
            yield name
            yield read_text(file, f"{shown}/{name}")


class _Module:
    def __init__(self, tree: ast.Module, name: str, domain: str, result: ChecksRead) -> None:
        self.tree, self.name, self.domain, self.result = tree, name, domain, result
        self.ours: set[str] = set()  # names that stand for the package
        self.decorators: set[str] = set()  # names that stand for `schema_for`
        self.constants: dict[str, ast.expr] = {}

    def read(self) -> None:
        nodes: list[ast.AST] = sorted(
            (node for node in ast.walk(self.tree) if hasattr(node, "lineno")),
            key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0)),
        )
        self._imports(nodes)
        called: set[int] = set()
        for node in nodes:
            if isinstance(node, ast.Call) and self._is_decorator(node.func):
                called.add(id(node.func))
                self._table(node)
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for each in node.decorator_list:
                    if self._is_decorator(each) and id(each) not in called:
                        self._unclear(each, "`schema_for` does not say which table it is for")

    def _imports(self, nodes: list[ast.AST]) -> None:
        for node in nodes:
            if isinstance(node, ast.Import):
                self.ours |= {each.asname or each.name for each in node.names if each.name == "mesh_assets"}
            elif isinstance(node, ast.ImportFrom) and node.module in ("mesh_assets", "mesh_assets.schemas"):
                self.decorators |= {each.asname or each.name for each in node.names if each.name == DECORATOR}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value

    def _is_decorator(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Name):
            return node.id in self.decorators
        return (
            isinstance(node, ast.Attribute)
            and node.attr == DECORATOR
            and isinstance(node.value, ast.Name)
            and node.value.id in self.ours
        )

    def _table(self, node: ast.Call) -> None:
        given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "table")]
        said = given[0] if len(given) == 1 else None
        if isinstance(said, ast.Name):
            said = self.constants.get(said.id, said)
        if not isinstance(said, ast.Constant) or not isinstance(said.value, str):
            self._unclear(node, "which table this schema is for can only be known by running the file")
            return
        table = said.value.replace("/", ".", 1)
        full = table if "." in table else f"{self.domain}.{table}"
        self.result.schemas.append(Reference(full, self._place(node)))

    def _unclear(self, node: ast.AST, what: str) -> None:
        mend = f'Write it out: `@mesh_assets.schema_for("{self.domain}/table")`.'
        self.result.problems.append(Problem("M551", what, self._place(node), mend))

    def _place(self, node: ast.AST) -> Place:
        return Place(self.name, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)
