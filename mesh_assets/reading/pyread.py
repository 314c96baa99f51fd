"""A domain's `assets.py` to the tables it declares: read with `ast`, never imported.

Known are Dagster's `@asset` and our `@table` and `@artifact`, under whatever name they were imported. What decides the
graph (names, inputs) must be written out: a value that only running the file would tell is a problem.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mesh_assets.domain import Toolchain
from mesh_assets.errors import ConfigError, Place, Problem, nearest
from mesh_assets.reading.draft import Found, Reference, digest, leads_out, outside
from mesh_assets.reading.source import read_text

DAGSTER, OURS = "dagster", "mesh_assets"
DECORATORS = ("table", "artifact")
UNREADABLE = {
    "multi_asset": "Write one `@dg.asset` per table.",
    "graph_asset": "Write `@dg.asset`, or a function that it calls.",
    "graph_multi_asset": "Write one `@dg.asset` per table.",
    "observable_source_asset": "Declare the files as a `source:` in domain.yaml.",
}
COLUMNS = 'Write it out: `{"customers.physicians": ["physician_id", "email"]}`.'
# Parameters that Dagster fills with something else than an asset, by the last word of their annotation.
NOT_A_TABLE = re.compile(r".*(?:Context|Resource|ResourceParam|Config|ConfigurableResource|Lake|Client)")


@dataclass(slots=True)
class PythonRead:
    """The tables of a domain's Python, and what is wrong with it."""

    tables: list[Found] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_python(folder: Path, shown: str) -> PythonRead:
    """The tables that `assets.py` in a domain's folder declares; none when there is no such file."""
    path = folder / "assets.py"
    result = PythonRead()
    try:
        text = read_text(path, f"{shown}/assets.py")
        tree = ast.parse(text)
        code = digest(_texts(folder, shown, result.problems, checks="checks" in text))
    except ConfigError as error:
        result.problems += error.problems
    except SyntaxError as error:
        where = Place(f"{shown}/assets.py", error.lineno or 1, error.offset or 1)
        result.problems.append(
            Problem("M305", "this is no Python from here on", where, "Look for a missing colon, bracket or quote.")
        )
    except (ValueError, RecursionError, MemoryError):
        where = Place(f"{shown}/assets.py")
        result.problems.append(
            Problem("M305", "this file is no Python that can be read", where, "Take out what a program put in.")
        )
    else:
        _Module(tree, folder.name, path, f"{shown}/assets.py", code, result).read()
    return result


def python_files(folder: Path) -> list[Path]:
    """Every Python file of a domain, in the order of their names; hidden folders left out."""
    return sorted(
        path
        for path in folder.rglob("*.py")
        if not any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
    )


def _texts(folder: Path, shown: str, problems: list[Problem], *, checks: bool) -> Iterator[str]:
    """Names and contents of a domain's Python files; a link that leads out of the mesh is told and not read.

    `checks.py` is part of the contracts, and of the tables only when their code may use it (`checks`).
    """
    for file in python_files(folder):
        name = file.relative_to(folder).as_posix()
        if name == "checks.py" and not checks:
            continue
        if leads_out(str(folder.parents[1]), str(folder), name):
            problems.append(outside(f"{shown}/{name}"))
            continue
        yield name
        yield read_text(file, f"{shown}/{name}")


class _Unclear(Exception):  # noqa: N818 - never leaves this module
    """A value that the text does not tell."""

    def __init__(self, node: ast.AST, what: str, mend: str, code: str = "M306") -> None:
        super().__init__(what)
        self.node, self.what, self.mend, self.code = node, what, mend, code


class _Module:
    def __init__(self, tree: ast.Module, domain: str, path: Path, shown: str, code: str, result: PythonRead) -> None:
        self.tree, self.domain, self.path, self.shown, self.code, self.result = tree, domain, path, shown, code, result
        self.modules: dict[str, str] = {}  # alias to module
        self.members: dict[str, tuple[str, str]] = {}  # name to module and member
        self.functions: dict[str, str] = {}  # a table's function to the table's name
        self.constants: dict[str, ast.expr] = {}

    def read(self) -> None:
        self._imports()
        found = []
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.constants[node.targets[0].id] = node.value
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found += [(node, member, options) for member, options in self._decorators(node)]
        for node, member, options in found:
            with self._told():
                self.functions[node.name] = self._name(node, member, options)
        for node, member, options in found:
            with self._told():
                self.result.tables.append(self._table(node, member, options))

    def _told(self) -> "_Told":
        return _Told(self)

    def _imports(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                self.modules |= {alias.asname or alias.name: alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                self.members |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}

    def _member(self, node: ast.expr) -> tuple[str, str]:
        """The module and the member that an expression names, by the file's imports."""
        if isinstance(node, ast.Name):
            return self.members.get(node.id, ("", node.id))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return self.modules.get(node.value.id, ""), node.attr
        return "", ""

    def _decorators(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, dict[str, ast.expr]]]:
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            module, member = self._member(call.func if call else decorator)
            package = module.partition(".")[0]
            if package == DAGSTER and member in UNREADABLE:
                problem = Problem("M307", f"`@{member}` is not read here", self._place(decorator), UNREADABLE[member])
                self.result.problems.append(problem)
            if module == OURS and member not in DECORATORS:
                mend = nearest(member, DECORATORS)
                problem = Problem("M307", f"`mesh_assets` has no decorator `{member}`", self._place(decorator), mend)
                self.result.problems.append(problem)
            if (package == DAGSTER and member == "asset") or (package == OURS and member in DECORATORS):
                keywords = call.keywords if call else []
                if any(keyword.arg is None for keyword in keywords):
                    what = "`**` hides what the decorator is given"
                    self.result.problems.append(
                        Problem("M306", what, self._place(decorator), "Write the arguments out.")
                    )
                yield member, {keyword.arg: keyword.value for keyword in keywords if keyword.arg}

    def _name(self, node: ast.FunctionDef | ast.AsyncFunctionDef, member: str, options: dict[str, ast.expr]) -> str:
        if member == "asset" and "key" in options:
            parts = self._key(options["key"])
            if len(parts) > 1 and parts[0] != self.domain:
                what = f"`{'/'.join(parts)}` is a table of another domain"
                raise _Unclear(
                    options["key"], what, f'Write `key=["{self.domain}", "{parts[-1]}"]`, or leave `key` out.', "M307"
                )
            return parts[-1]
        return self._text(options["name"]) if "name" in options else node.name

    def _table(self, node: ast.FunctionDef | ast.AsyncFunctionDef, member: str, options: dict[str, ast.expr]) -> Found:
        if node.name not in self.functions:
            raise _Skip
        reads = self._asset_reads(node, options) if member == "asset" else self._table_reads(node, options)
        return Found(
            name=self.functions[node.name],
            toolchain=Toolchain.PYTHON,
            where=self._place(node),
            path=self.path,
            code=self.code,
            reads=tuple(dict.fromkeys(reads)),
            artifact=member == "artifact",
            columns=self._columns(node, options, reads) if member != "asset" else {},
        )

    def _columns(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, options: dict[str, ast.expr], reads: list[Reference]
    ) -> dict[str, tuple[str, ...]]:
        """What `columns=` of our decorators declares, by `domain.table`."""
        tables = {read.table for read in reads}
        found = {}
        for key, value in self._mapping(options.get("columns"), "columns", COLUMNS).items():
            short = key.replace("/", ".")
            table = short if "." in short else f"{self.domain}.{short}"
            if table not in tables:
                what = f"`columns` speaks of `{key}`, which `{node.name}` does not read"
                raise _Unclear(options["columns"], what, nearest(key, tables), "M702")
            if names := tuple(self._text(item) for item in self._list(value)):
                found[table] = names
        return found

    def _table_reads(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, options: dict[str, ast.expr]
    ) -> list[Reference]:
        parameters = _parameters(node)
        if "inputs" not in options:
            return [Reference(f"{self.domain}.{argument.arg}", self._place(argument)) for argument in parameters]
        reads = []
        for item in self._list(options["inputs"]):
            name = self._text(item).replace("/", ".")
            reads.append(Reference(name if "." in name else f"{self.domain}.{name}", self._place(item)))
        short = sorted(read.table.rpartition(".")[2] for read in reads)
        named = sorted(argument.arg for argument in parameters)
        if short != named:
            has, reads_ = ", ".join(named) or "none", ", ".join(short) or "nothing"
            what = f"`{node.name}` has the parameters {has}, and reads {reads_}"
            mend = "Name one parameter for each input: `customers.physicians` comes as `physicians`."
            raise _Unclear(node, what, mend, "M308")
        return reads

    def _asset_reads(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, options: dict[str, ast.expr]
    ) -> list[Reference]:
        reads = [self._reference(self._key(item, alone=True), item) for item in self._list(options.get("deps"))]
        ins = self._mapping(options.get("ins"))
        reads += [self._reference(self._asset_in(item, name), item) for name, item in ins.items()]
        for argument in _parameters(node):
            if (
                argument.arg not in ins
                and argument.arg not in ("context", "_context", "self")
                and not self._is_resource(argument)
            ):
                reads.append(Reference(f"{self.domain}.{argument.arg}", self._place(argument)))
        return reads

    def _asset_in(self, node: ast.expr, name: str) -> list[str]:
        if not isinstance(node, ast.Call):
            return self._key(node)
        options = {keyword.arg: keyword.value for keyword in node.keywords}
        key = node.args[0] if node.args else options.get("key")
        if key is not None:
            return self._key(key)
        prefix = options.get("key_prefix")
        return [*self._key(prefix), name] if prefix is not None else [self.domain, name]

    def _reference(self, parts: list[str], node: ast.expr) -> Reference:
        if len(parts) > 2:  # noqa: PLR2004 - domain and table
            raise _Unclear(
                node, f"`{'/'.join(parts)}` is no table: it must be `domain/table`", "Write the domain and the table."
            )
        return Reference(".".join(parts if len(parts) > 1 else [self.domain, *parts]), self._place(node))

    def _key(self, node: ast.expr, *, alone: bool = False) -> list[str]:
        """An asset key in its parts: `AssetKey([...])`, a list, or text with slashes."""
        node = self._resolved(node)
        if alone and isinstance(node, ast.Name) and node.id in self.functions:
            return [self.domain, self.functions[node.id]]
        if (
            isinstance(node, ast.Call)
            and self._member(node.func)[1] in ("AssetKey", "AssetDep")
            and (node.args or node.keywords)
        ):
            return self._key(node.args[0] if node.args else node.keywords[0].value, alone=alone)
        if isinstance(node, ast.List | ast.Tuple):
            return [self._text(item) for item in node.elts]
        return self._text(node).split("/")

    def _is_resource(self, argument: ast.arg) -> bool:
        annotation = argument.annotation
        if isinstance(annotation, ast.Subscript):
            annotation = annotation.value
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            return bool(NOT_A_TABLE.fullmatch(annotation.value.rpartition(".")[2]))
        name = self._member(annotation)[1] if annotation is not None else ""
        bases = [
            base
            for node in self.tree.body
            if isinstance(node, ast.ClassDef) and node.name == name
            for base in (self._member(base)[1] for base in node.bases)
        ]
        return any(NOT_A_TABLE.fullmatch(word) for word in (name, *bases))

    def _resolved(self, node: ast.expr) -> ast.expr:
        """A constant of the module in place of its name."""
        return (
            self.constants.get(node.id, node) if isinstance(node, ast.Name) and node.id not in self.functions else node
        )

    def _list(self, node: ast.expr | None) -> list[ast.expr]:
        if node is None:
            return []
        node = self._resolved(node)
        if not isinstance(node, ast.List | ast.Tuple | ast.Set):
            raise _Unclear(
                node, "this list can only be known by running the file", 'Write it out: `["customers.physicians", …]`.'
            )
        return node.elts

    def _mapping(
        self,
        node: ast.expr | None,
        name: str = "ins",
        mend: str = 'Write it out: `{"x": dg.AssetIn(["domain", "table"])}`.',
    ) -> dict[str, ast.expr]:
        if node is None:
            return {}
        node = self._resolved(node)
        if not isinstance(node, ast.Dict):
            raise _Unclear(
                node,
                f"`{name}` can only be known by running the file",
                mend,
            )
        return {self._text(key): value for key, value in zip(node.keys, node.values, strict=True) if key is not None}

    def _text(self, node: ast.expr) -> str:
        node = self._resolved(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        raise _Unclear(node, "this name can only be known by running the file", "Write it as text in quotes.")

    def _place(self, node: ast.AST) -> Place:
        return Place(self.shown, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)


class _Skip(Exception):  # noqa: N818 - its problem is told already
    """A table whose name could not be read."""


class _Told:
    """Keeps what is unclear about one table as its problem, and goes on with the next."""

    def __init__(self, module: _Module) -> None:
        self.module = module

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, _Unclear):
            problem = Problem(error.code, error.what, self.module._place(error.node), error.mend)  # noqa: SLF001
            if problem not in self.module.result.problems:
                self.module.result.problems.append(problem)
        return isinstance(error, _Unclear | _Skip)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
