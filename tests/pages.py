"""The documentation as data: its pages, their links, and the files that their examples are made of."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FENCE = re.compile(
    r"^(?P<indent> *)(?P<marks>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)(?P=marks) *$",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?\)")


def pages() -> list[Path]:
    """Every page of documentation, the domains' own too."""
    return sorted(
        [
            *ROOT.glob("*.md"),
            *ROOT.glob("docs/**/*.md"),
            *ROOT.glob("domains/*/*.md"),
            *ROOT.glob("mesh_assets/templates/**/*.md"),
        ]
    )


def fences(page: Path, upto: str = "") -> Iterator[tuple[str, str]]:
    """Fenced blocks of a page, or of its part before a heading: what stands behind the marks, and the text."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text[: text.index(upto)] if upto else text):
        yield found["info"].strip(), found["body"]


def examples(page: Path, upto: str = "") -> dict[str, str]:
    """The files that a page shows: a block that begins with ```` ```yaml domains/shop/domain.yaml ```` is that file.

    A file that is shown twice is as it was shown last.
    """
    return {info.split()[1]: body for info, body in fences(page, upto) if len(info.split()) == 2}


def with_examples() -> list[Path]:
    """Pages that show whole domains."""
    return [page for page in pages() if any(path.startswith("domains/") for path in examples(page))]


def write(page: Path, folder: Path, *, upto: str = "") -> None:
    """The mesh that a page shows, in a folder; with a mesh.yaml, if neither has one."""
    shown = examples(page, upto)
    if not (folder / "mesh.yaml").exists():
        shown = {"mesh.yaml": "mesh: example\n", **shown}
    for path, text in shown.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
