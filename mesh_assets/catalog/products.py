"""A data product of somebody else, as a domain of this mesh."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mesh_assets.catalog.standards import as_yaml, of_product, plain
from mesh_assets.errors import UsageError
from mesh_assets.reading.draft import name_fault, usable
from mesh_assets.reading.source import read_text


def read(path: Path) -> dict[str, Any]:
    """A data product's plain values.

    Raises:
        ConfigError: The file cannot be read.
        UsageError: It is no YAML, or not of the standard's form.
    """
    text = read_text(path, path.name)
    try:
        found = plain(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UsageError(f"{path.name}{place}: this is no YAML: {getattr(error, 'problem', error)}") from None
    faults = list(_faults(found))
    if faults:
        raise UsageError(f"{path.name} is no data product\n" + "\n".join(f"    {fault}" for fault in faults))
    return found


def domain_of(made: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """The plain values of its domain.yaml.

    Args:
        made: The product.
        name: Of the domain; empty: as the product says its domain, else its id.

    Raises:
        NotFound: It is of no version of the standard that is read.
        UsageError: No domain can have that name.
    """
    written = of_product(made, name)
    wanted = str(written["domain"])
    if fault := name_fault(wanted, frozenset()):
        other = usable(wanted) or usable(str(made.get("name") or ""))
        mend = f"--name {other} gives it another." if other else "Give it another: --name NAME"
        raise UsageError(f"the name of a domain `{wanted}` {fault[0]}\n    {mend}")
    return written


def adopt(root: Path, written: Mapping[str, Any]) -> Path:
    """Write domain.yaml of a domain that is not there yet; its path.

    Raises:
        UsageError: There is a domain of that name, or another file in its place.
    """
    path = root / "domains" / str(written["domain"]) / "domain.yaml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(as_yaml(written))
    except FileExistsError:
        shown = path.relative_to(root)
        raise UsageError(f"{shown} is there already\n    --name gives the domain another name.") from None
    return path


def _faults(found: object) -> Iterator[str]:
    """What is not of the form that the standard has, as far as the way to domain.yaml rests on it."""
    if not isinstance(found, dict):
        yield "A product is a mapping: `apiVersion`, `kind`, `id` and `status` at least."
        return
    if not isinstance(found.get("id"), str):
        yield "`id` is not there, or is no text."
    if not isinstance(found.get("description", {}), dict):
        yield "`description` is no mapping."
    team = found.get("team", {})
    if not isinstance(team, dict | list):
        yield "`team` is no mapping."
    members = team if isinstance(team, list) else team.get("members") if isinstance(team, dict) else None
    yield from _entries("members of `team`", members, "")
    yield from _entries("`support`", found.get("support"), "")
    yield from _entries("`customProperties`", found.get("customProperties"), "property")
    for key in ("inputPorts", "outputPorts"):
        yield from _entries(f"`{key}`", found.get(key), "name")
        for port in found.get(key) or () if isinstance(found.get(key), list) else ():
            if isinstance(port, dict):
                yield from _entries(f"`customProperties` in `{key}`", port.get("customProperties"), "property")


def _entries(what: str, found: object, key: str) -> Iterator[str]:
    if found is None:
        return
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        yield f"{what} must be a list of mappings."
    elif key and not all(isinstance(one.get(key), str) for one in found):
        yield f"Each of {what} needs `{key}`, a text."
    elif key == "property" and not all("value" in one for one in found):
        yield f"Each of {what} needs a `value`."
