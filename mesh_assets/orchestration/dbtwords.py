"""What dbt says of a fault, as the mesh says it: the file of the mesh, the line, and the words. Pure, but for the files it names."""

import re
from pathlib import Path

from mesh_assets.errors import Place
from mesh_assets.reading.sqlplace import place_in, words_of

_FILE = re.compile(r"(?<![\w./-])((?:[\w.-]+/)*[\w.-]+\.(?:sql|ya?ml|py|csv|md))\b")
_MARK = re.compile(r"\bline (\d+)(?:, column (\d+))?")
_NAMED = re.compile(
    r"(?:named '(?:[\w.]+\.)?|^ *')(?P<dbt>\w+)'(?: which was not found| is undefined)"
    r"|(?:Referenced (?:column|table)|(?:Table|Function) with name) \"?(?P<duckdb>\w+)",
    re.MULTILINE,
)
"""What was not found, where the line that is quoted is not as it was written: Jinja has filled it."""
_QUOTED = re.compile(r"\n *line \d+\n.*\Z", re.DOTALL)
"""The line that Jinja stumbled over, in full: its number says enough."""
_NOISE = re.compile(
    r"^(?:compiled code at .*|-{3,}|\d+ *\|.*|Raw Error:|in \"<.*>\".*|.*resource_tracker.*|warnings\.warn\(.*|\^|line \d+)$"
)
_HEAD = re.compile(r"^(?:[A-Z]\w+ Error|Error reading [^:]+: \S+ - \w+ Error)(?: in .*)?$")
SHOWN = 4
"""Lines of dbt's words that are passed on."""


def at_fault(folder: Path, told: str) -> tuple[Place, str]:
    """Where the fault is, and dbt's words for it, without the folders of this machine.

    Args:
        folder: The dbt project.
        told: What dbt raised, or said of one model.

    Returns:
        The project's own file where dbt names none; line 1 where it says none.
    """
    told = told.replace(f"{folder}/", "")
    file = next((name for name in _FILE.findall(told) if (folder / name).is_file()), "dbt_project.yml")
    text = (folder / file).read_text(encoding="utf-8", errors="replace") if (folder / file).is_file() else ""
    lines = [line.strip() for line in words_of(_QUOTED.sub("", told)).splitlines()]
    said = [line for line in lines if line and not _NOISE.match(line) and not _HEAD.match(line)] or lines
    shown = f"{folder.parent.name}/{folder.name}/{file}"
    return Place(shown, *(_where(told, text) or (1, 1))), words_of("\n".join(said[:SHOWN])).rstrip(".")


def _where(told: str, text: str) -> tuple[int, int] | None:
    """Line and column: as DuckDB quotes it, as a parser counted, or where the name stands that dbt did not find."""
    if found := place_in(told, text):
        return found
    marks = _MARK.findall(told)
    if marks:
        exact = [mark for mark in marks if mark[1]] or marks
        line, column = exact[-1]
        return int(line), int(column or 1)
    found = _NAMED.search(told)
    named = found["dbt"] or found["duckdb"] if found else ""
    at = re.search(rf"(?<=['\"]){named}\b", text) or re.search(rf"\b{named}\b", text) if named else None
    return (text.count("\n", 0, at.start()) + 1, at.start() - text.rfind("\n", 0, at.start())) if at else None
