"""Files between the mesh and a program: a table's inputs as its step sees them, and the table that comes back."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_assets import raw
from mesh_assets.domain import Load, Source, Table
from mesh_assets.errors import RunError
from mesh_assets.lake.sqltext import text

if TYPE_CHECKING:
    import duckdb

WRITTEN = {"parquet": "FORMAT parquet", "csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json"}
"""How DuckDB writes each format."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The folder of one step: `inputs/<domain>.<table>.<format>`, and `output.<format>`, which the program writes."""

    folder: Path
    table: Table
    there: str = ""  # the folder as the program sees it, where that is elsewhere

    @property
    def format(self) -> str:
        """Of all files."""
        return self.table.program.format if self.table.program else "parquet"

    @property
    def inputs(self) -> Mapping[str, Path]:
        """By `domain.table`; a table that adds to itself finds its own last version as `this`."""
        names = [*self.table.inputs, *(["this"] if self.table.load is not Load.FULL else [])]
        return {name: self.folder / "inputs" / f"{name}.{self.format}" for name in names}

    @property
    def output(self) -> Path:
        """A file; Parquet may also be a folder of files."""
        return self.folder / f"output.{self.format}"

    def told(self, path: Path) -> str:
        """A path below the folder as the program sees it."""
        return f"{self.there}/{path.relative_to(self.folder).as_posix()}" if self.there else str(path)

    def give(self, con: "duckdb.DuckDBPyConnection") -> None:
        """Write the inputs, from the views of the step's connection; what an earlier run has left is taken away."""
        if self.output.is_dir():
            shutil.rmtree(self.output)
        self.output.unlink(missing_ok=True)
        (self.folder / "inputs").mkdir(parents=True, exist_ok=True)
        for name, path in self.inputs.items():
            relation = ".".join(f'"{part}"' for part in name.split("."))
            con.execute(f"COPY (FROM {relation}) TO {text(str(path))} ({WRITTEN[self.format]})")

    def take(self, con: "duckdb.DuckDBPyConnection", who: str) -> str:
        """SQL that reads what the program wrote.

        Args:
            con: The step's connection.
            who: The program, for a sentence.

        Raises:
            RunError: It wrote nothing, or something that is not a table.
        """
        import duckdb

        if self.output.is_file() and self.format != "parquet":
            source = Source(pattern=self.output.name, table=self.table.short, where=self.table.where)
            return raw.query(self.folder, source, self.table.contract)
        files = sorted(self.output.rglob("*.parquet")) if self.output.is_dir() else [self.output]
        if not files or not all(file.is_file() for file in files):
            mend = f"It must write {self.format} to the path in the environment variable MESH_OUTPUT."
            raise RunError(f"{who} ended, and wrote no table\n    {mend}")
        named = ", ".join(text(str(file)) for file in files)
        query = f"SELECT * FROM read_parquet([{named}], union_by_name = true)"
        try:
            con.execute(f"DESCRIBE {query}")
        except duckdb.Error as error:
            raise unreadable(who, self.folder, error) from None
        return query


def workplace(home: Path, table: Table, run: str) -> Handover:
    """An empty folder for one step. Whoever was there before is dead: a table is built by one step at a time."""
    program = table.program
    base = home / "steps"
    below = f"{table.name}/{run}"
    if program and program.exchange:  # kitchens hand over in the same folder, each below a name of its own
        base, below = program.exchange, f"{hashlib.sha256(str(home).encode()).hexdigest()[:8]}/{below}"
    place = base / below
    shutil.rmtree(place.parent, ignore_errors=True)
    place.mkdir(parents=True)
    there = program.exchange_there.rstrip("/") if program else ""
    return Handover(place, table, f"{there}/{below}" if there else "")


def unreadable(who: str, folder: Path, error: Exception) -> RunError:
    """What a program wrote is not a table, in DuckDB's words without the folders of this machine."""
    told = str(error).replace(f"{folder}/", "").splitlines()[0]
    return RunError(f"what {who} wrote cannot be read: {told}\n    Nothing of it is published.")
