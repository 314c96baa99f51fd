"""Tables in Python: the decorators of a domain's `assets.py`, and the frames that go in and out."""

import functools
import inspect
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from mesh_assets import modules
from mesh_assets.errors import ConfigError, Place, Problem, RunError

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa

FRAMES = ("polars", "pandas", "pyarrow", "duckdb", "_duckdb")


@dataclass(frozen=True, slots=True)
class PythonTable:
    """A function that builds a table, as `@mesh_assets.table` or `@mesh_assets.artifact` found it."""

    function: Callable[..., object]
    inputs: tuple[str, ...]
    name: str
    artifact: bool = False
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the function itself, as its own tests do."""
        return self.function(*args, **kwargs)


def table(
    function: Callable[..., object] | None = None,
    *,
    inputs: Sequence[str] | None = None,
    name: str | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> PythonTable | Callable[[Callable[..., object]], PythonTable]:
    """Make a function a table of its domain: pin, stage, audit, publish and tell are done for it.

    Args:
        function: Its parameters are named by its inputs' short names; each comes as its annotation says: polars
            `DataFrame` or `LazyFrame`, pandas `DataFrame`, Arrow `Table`, else a DuckDB relation. It returns any of these.
        inputs: `domain.table`, or `table` of the own domain. Default: the names of the parameters.
        name: Default: the function's name.
        columns: By input, the columns that are read; the function is given no others. A change of any other column is known
            not to concern it. Default: every column.

    Example:
        >>> @mesh_assets.table(inputs=["customers.physicians", "campaigns"])
        ... def campaign_reach(physicians: pl.DataFrame, campaigns: pl.DataFrame) -> pl.DataFrame: ...
    """
    return _decorate(function, inputs, name, columns, artifact=False)


def artifact(
    function: Callable[..., object] | None = None,
    *,
    inputs: Sequence[str] | None = None,
    name: str | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> PythonTable | Callable[[Callable[..., object]], PythonTable]:
    """Make a function an artefact of its domain: a chart, a page, a document.

    As `table`, but it returns `bytes`, `str`, or a mapping of file name to one of these. An artefact is a table of files
    (`name`, `media_type`, `content`): it is versioned, tested, held and read as any other.
    """
    return _decorate(function, inputs, name, columns, artifact=True)


def tables_of(module: ModuleType) -> tuple[PythonTable, ...]:
    """The tables that a domain's module declares, in the order of the file."""
    return tuple(item for item in vars(module).values() if isinstance(item, PythonTable))


def function_of(module: ModuleType, name: str, inputs: Sequence[str]) -> PythonTable | None:
    """The function that builds a table, to be called outside of Dagster; None where only a run can call it.

    That of our own decorators, or a plain `@dg.asset`: one that is given its inputs by their names and nothing else (no context, no
    resource, no configuration) and returns a frame.

    Args:
        name: The table's short name.
        inputs: What it reads, as `domain.table`.
    """
    ours = next((item for item in tables_of(module) if item.name == name), None)
    return ours or next(filter(None, (_plain(item, name, inputs) for item in vars(module).values())), None)


def _plain(item: object, name: str, inputs: Sequence[str]) -> PythonTable | None:
    # Told by its class: this module knows no Dagster.
    if type(item).__name__ != "AssetsDefinition" or [key.path[-1] for key in getattr(item, "keys", ())] != [name]:
        return None
    function = getattr(getattr(getattr(item, "node_def", None), "compute_fn", None), "decorated_fn", None)
    if (
        not inspect.isfunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.iscoroutinefunction(function)
    ):
        return None
    parameters = inspect.signature(function).parameters
    if sorted(one.rpartition(".")[2] for one in inputs) != sorted(parameters):
        return None

    @functools.wraps(function)
    def called(**frames: object) -> object:
        given = {one: _as_dagster_gives(frame, parameters[one].annotation) for one, frame in frames.items()}
        result = function(**given)
        return getattr(result, "value", result) if type(result).__name__ == "Output" else result

    return PythonTable(called, tuple(inputs), name)


def _as_dagster_gives(frame: object, annotation: object) -> object:
    """The IO manager gives no relations: a connection ends with the step that reads."""
    kind = type(frame).__module__.partition(".")[0]
    return detached(cast("duckdb.DuckDBPyRelation", frame), annotation) if kind in ("duckdb", "_duckdb") else frame


def call(item: PythonTable, con: "duckdb.DuckDBPyConnection", domain: str) -> str:
    """Call a table's function on its inputs, and register what it returns with `con`.

    Returns:
        SQL that reads the result.

    Raises:
        RunError: It returned nothing, or something that is not a table, or ended the program.
    """
    parameters = inspect.signature(item.function).parameters
    frames = {}
    for name in item.inputs:
        owner, _, short = name.rpartition(".")
        relation = con.sql(
            "FROM this"
            if name == "this"
            else f'{_selected(item, domain, owner, short)} FROM "{owner or domain}"."{short}"'
        )
        frames[short] = _convert(relation, parameters[short].annotation)
    try:
        result = item.function(**frames)
    except SystemExit as error:
        what = f"the function of {domain}/{item.name} called `sys.exit({error.code!r})`"
        raise RunError(f"{what}\n    {modules.NO_EXIT}") from error
    return register(con, _files(result, item) if item.artifact else result, f"{domain}/{item.name}")


def _selected(item: PythonTable, domain: str, owner: str, short: str) -> str:
    """The declared columns of an input, in their order; else all of them."""
    declared = {key if "." in key else f"{domain}.{key}": names for key, names in item.columns.items()}
    names = declared.get(f"{owner or domain}.{short}")
    return "SELECT " + ", ".join('"' + column.replace('"', '""') + '"' for column in names) if names else ""


def register(con: "duckdb.DuckDBPyConnection", frame: object, what: str) -> str:
    """Make a frame readable by SQL on `con`, and say how: polars, pandas, Arrow, or a DuckDB relation."""
    kind = type(frame).__module__.partition(".")[0]
    if frame is None:
        mend = "End the function with `return frame`."
        raise RunError(f"the function of {what} returned nothing\n    {mend}")
    if kind not in FRAMES:
        mend = "Return a polars or pandas DataFrame, an Arrow table, or a DuckDB relation."
        raise RunError(f"the function of {what} returned {type(frame).__name__}, which is not a table\n    {mend}")
    con.register("__result", _arrow(frame, kind))
    return 'FROM "__result"'


def detached(relation: "duckdb.DuckDBPyRelation", annotation: object) -> object:
    """A frame that outlives the connection: as annotated, polars when nothing is said."""
    frame = _convert(relation, annotation)
    if frame is not relation:
        return frame
    asked_for_duckdb = str(getattr(annotation, "__module__", "")).partition(".")[0] in ("duckdb", "_duckdb")
    return relation.to_arrow_table() if asked_for_duckdb else relation.pl()


def _decorate(
    function: Callable[..., object] | None,
    inputs: Sequence[str] | None,
    name: str | None,
    columns: Mapping[str, Sequence[str]] | None,
    *,
    artifact: bool,
) -> PythonTable | Callable[[Callable[..., object]], PythonTable]:
    def wrap(function: Callable[..., object]) -> PythonTable:
        parameters = tuple(inspect.signature(function).parameters)
        wanted = tuple(inputs) if inputs is not None else parameters
        _check(function, parameters, wanted)
        declared = {key.replace("/", "."): tuple(names) for key, names in (columns or {}).items()}
        return PythonTable(function, wanted, name or _name(function), artifact, declared)

    return wrap(function) if function is not None else wrap


def _check(function: Callable[..., object], parameters: Sequence[str], inputs: Sequence[str]) -> None:
    short = sorted(name.rpartition(".")[2] for name in inputs)
    if short != sorted(parameters):
        what = f"`{_name(function)}` has parameters {', '.join(parameters) or 'none'}, but reads {', '.join(short)}"
        mend = "Name one parameter for each input: `customers.physicians` comes as `physicians`."
        where = Place(inspect.getfile(function), inspect.getsourcelines(function)[1])
        raise ConfigError(problems=[Problem("M308", what, where, mend)])


def _name(function: Callable[..., object]) -> str:
    return str(getattr(function, "__name__", "table"))


def _convert(relation: "duckdb.DuckDBPyRelation", annotation: object) -> object:
    kind = str(getattr(annotation, "__module__", annotation)).partition(".")[0]
    name = getattr(annotation, "__name__", str(annotation)).rpartition(".")[2]
    if kind in ("polars", "pl"):
        frame = relation.pl()
        return frame.lazy() if name == "LazyFrame" else frame
    if kind in ("pandas", "pd"):
        return relation.df()
    if kind in ("pyarrow", "pa"):
        return relation.to_arrow_table()
    return relation


def _arrow(frame: object, kind: str) -> object:
    if kind == "polars":
        lazy = cast("pl.LazyFrame | pl.DataFrame", frame).lazy()
        return lazy.collect().to_arrow()
    if kind == "pandas":
        import pyarrow as pa

        return pa.Table.from_pandas(frame, preserve_index=False)
    if kind in ("duckdb", "_duckdb"):
        return cast("duckdb.DuckDBPyRelation", frame).to_arrow_table()
    return frame


def _files(result: object, item: PythonTable) -> "pa.Table":
    """An artefact's files as rows: what every later step can treat as any other table."""
    import pyarrow as pa

    named = result if isinstance(result, Mapping) else {_file_name(item.name, result): result}
    contents = []
    for name, content in named.items():
        if not isinstance(content, str | bytes):
            mend = "Return bytes or text, or a mapping of file name to bytes or text."
            raise RunError(f"artefact {item.name}: `{name}` is {type(content).__name__}, not content\n    {mend}")
        contents.append(content.encode() if isinstance(content, str) else content)
    types = [mimetypes.guess_type(name)[0] or "application/octet-stream" for name in named]
    schema = pa.schema([("name", pa.string()), ("media_type", pa.string()), ("content", pa.binary())])
    return pa.table([list(named), types, contents], schema=schema)


def _file_name(name: str, content: object) -> str:
    start = content.lstrip()[:200] if isinstance(content, str | bytes) else b""
    text = start.decode("utf-8", "replace") if isinstance(start, bytes) else start
    endings = {"<svg": ".svg", "<?xml": ".svg", "<!doctype html": ".html", "<html": ".html", "\ufffdPNG": ".png"}
    ending = next((end for mark, end in endings.items() if text.lower().startswith(mark.lower())), ".txt")
    return str(Path(name).with_suffix(ending))
