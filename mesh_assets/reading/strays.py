"""Files and folders of a domain that look like the mesh's own and are not read: a slip of the name, or of the place.

What is read has one name and one place. What comes near it is told: it would be left out in silence, and a team would
believe in a table, or in a contract, that nobody looks at.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from mesh_assets.errors import Place, Problem

CONTRACT = ".odcs.yaml"
FILES = ("domain.yaml", "assets.py", "checks.py")
FOLDERS = ("contracts", "sql")
ENDINGS = {"contracts": CONTRACT, "sql": ".sql"}  # of what is read in each folder
YAML = (".yaml", ".yml", ".json")
NEAR = 0.87  # as difflib counts: `contract` and `asset.py` are near, `query` and `tests.py` are not


@dataclass(frozen=True, slots=True)
class Stray:
    """Something that is not read.

    Attributes:
        table: Whose it would be; empty where the name does not tell.
        certain: It can only be a slip. Else it may stand there on purpose, as long as nothing is missing for it.
        builds: It would build the table.
    """

    table: str
    problem: Problem
    certain: bool
    builds: bool


def strays(start: str, shown: str, listed: Mapping[str, Sequence[str]], asked: Collection[str]) -> list[Stray]:
    """What lies about in a domain's folder.

    Args:
        start: The folder, as a real path.
        shown: The same, as it is shown to a person.
        listed: The names in it, under the empty text, and in those of our folders that are there.
        asked: Files that domain.yaml names as contracts: what is wrong with those is told there.
    """
    found = [*_beside(start, shown, listed[""])]
    for folder in FOLDERS:
        found += _within(start, shown, folder, [name for name in listed.get(folder, ()) if name not in asked])
    return found


def instead(name: str, names: Collection[str]) -> str:
    """The file among `names` that was to be `name`; empty when none is near it."""
    return next((one for one in sorted(names) if get_close_matches(_usual(one), (name,), n=1, cutoff=NEAR)), "")


def _beside(start: str, shown: str, names: Collection[str]) -> Iterator[Stray]:
    """Of what stands beside domain.yaml."""
    for name in sorted(names):
        if name in FILES or name in FOLDERS or name.startswith((".", "__")):
            continue
        lower = _usual(name)
        if lower.endswith((CONTRACT, ".sql")) and "." in name:
            folder = "sql" if lower.endswith(".sql") else "contracts"
            table = lower.removesuffix(ENDINGS[folder])
            yield _stray(f"{shown}/{name}", f"{shown}/{folder}/{table}{ENDINGS[folder]}", table, folder == "contracts")
        elif name == "assets" and "assets.py" not in names and os.path.isfile(f"{start}/assets/__init__.py"):
            yield _stray(f"{shown}/assets/__init__.py", f"{shown}/assets.py", "", certain=True)
        elif meant := _meant(lower, names):
            certain = lower == meant
            if meant in FOLDERS and os.path.isdir(f"{start}/{name}"):
                yield from _folder(start, shown, name, meant, certain=certain)
            elif meant in FILES and os.path.isfile(f"{start}/{name}"):
                yield _stray(f"{shown}/{name}", f"{shown}/{meant}", "", certain)


def _meant(lower: str, names: Collection[str]) -> str:
    """What a name was to be, unless that is there as well."""
    near = get_close_matches(lower, (*FILES, *FOLDERS), n=1, cutoff=NEAR)
    return near[0] if near and near[0] not in names else ""


def _folder(start: str, shown: str, name: str, meant: str, *, certain: bool) -> Iterator[Stray]:
    """Everything in a folder that is almost named as one of ours."""
    for file in _listed(f"{start}/{name}"):
        if _usual(file).endswith(ENDINGS[meant]):
            table = _usual(file).removesuffix(ENDINGS[meant])
            yield _stray(f"{shown}/{name}/{file}", f"{shown}/{meant}/{table}{ENDINGS[meant]}", table, certain)


def _within(start: str, shown: str, folder: str, names: Sequence[str]) -> Iterator[Stray]:
    """Of what stands in a folder of ours, and in the folders below it."""
    ending = ENDINGS[folder]
    for name in names:
        if name.endswith(ending) or name.startswith("."):
            continue
        lower, path = _usual(name), f"{shown}/{folder}/{name}"
        table = lower.removesuffix(ending)
        if lower.endswith(ending):
            yield _stray(path, f"{shown}/{folder}/{table}{ending}", table, certain=True)
        elif folder == "contracts" and lower.endswith(YAML):
            table = lower.rpartition(".")[0]
            yield _stray(path, f"{shown}/{folder}/{table}{ending}", table, certain=False)
        elif os.path.isdir(f"{start}/{folder}/{name}"):
            for file in _listed(f"{start}/{folder}/{name}"):
                if _usual(file).endswith(ending):
                    table = _usual(file).removesuffix(ending)
                    yield _stray(f"{path}/{file}", f"{shown}/{folder}/{table}{ending}", table, certain=False)


def _stray(path: str, meant: str, table: str, certain: bool) -> Stray:  # noqa: FBT001 - said by name where it is plain
    what = "this looks like a part of the domain, and is not read here"
    aside = "" if certain else "; or out of the domain's folder, if it is not to be read"
    return Stray(
        table, Problem("M114", what, Place(path), f"Move it to {meant}{aside}."), certain, meant.endswith(".sql")
    )


def _usual(name: str) -> str:
    """A file's name in lower case, with the ending that is usual here."""
    lower = name.lower()
    return f"{lower[:-4]}.yaml" if lower.endswith(".yml") else lower


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
