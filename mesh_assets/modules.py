"""A domain's `assets.py` and `checks.py` as Python modules, imported by path: no folder is added to `sys.path`."""

import importlib
import importlib.util
import linecache
import sys
import traceback
from pathlib import Path
from types import ModuleType

PACKAGE = "mesh_domains"
"""Parent of every domain's modules: `mesh_domains.sales.assets`. Relative imports within a domain's folder work."""
CODE = "__mesh_code__"
NO_EXIT = "Code of a domain must not end the program that runs it: raise an error instead."


def load(domain: str, folder: Path) -> ModuleType | None:
    """The module of a domain's `assets.py`; None when it has none. Read anew when the file is another one.

    Raises:
        Exception: Whatever the domain's own code raises at import.
    """
    path = folder / "assets.py"
    if not path.is_file():
        return None
    name = f"{_domain(domain, folder)}.assets"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    return importlib.import_module(name)


def load_checks(domain: str, folder: Path, code: str) -> ModuleType:
    """The module of a domain's `checks.py`, as it was read; imported again when its code is another.

    Raises:
        Exception: Whatever the domain's own code raises at import.
    """
    parent = _domain(domain, folder)
    name = f"{parent}.checks"
    known = sys.modules.get(name)
    if known is not None and getattr(known, CODE, None) == code:
        return known
    for other in [other for other in sys.modules if other.startswith(f"{parent}.") and other != f"{parent}.assets"]:
        del sys.modules[other]
    importlib.invalidate_caches()
    module = importlib.import_module(name)
    setattr(module, CODE, code)
    return module


def said(error: BaseException, folder: Path, root: Path) -> str:
    """What a domain's own code raised: where in its files, the type, the words, and the line. Empty when it was not in them.

    Args:
        error: As it was caught; frames of the mesh, of Python's import and of libraries are nothing that its team can mend.
        folder: The domain's.
        root: The mesh's: paths are told as seen from there.
    """
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:  # of a module that was imported: no frame of it was begun
        frames.append((error.filename, error.lineno))
    own = [(Path(file), line) for file, line in frames if line and Path(file).is_relative_to(folder)]
    if not own:
        return ""
    path, line = own[-1]
    where = path.relative_to(root) if path.is_relative_to(root) else path
    words = [f"{where}:{line}: {_words(error)}", f"    {linecache.getline(str(path), line).strip()}"]
    if isinstance(error, SystemExit):
        words.append(f"    {NO_EXIT}")
    return "\n".join(words)


def _words(error: BaseException) -> str:
    told = error.msg if isinstance(error, SyntaxError) else str(error).strip()
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def _domain(domain: str, folder: Path) -> str:
    parent = _package(PACKAGE, None)
    package = _package(f"{PACKAGE}.{domain}", folder)
    setattr(parent, domain, package)
    return package.__name__


def _package(name: str, folder: Path | None) -> ModuleType:
    wanted = [str(folder)] if folder else []
    known = sys.modules.get(name)
    if known is not None and (folder is None or list(known.__path__) == wanted):
        return known
    for other in [other for other in sys.modules if other == name or other.startswith(f"{name}.")]:
        del sys.modules[other]
    package = ModuleType(name)
    package.__path__ = wanted
    sys.modules[name] = package
    return package
