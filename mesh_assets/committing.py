"""A saved contract as a commit: of that file and of nothing else, on the branch that is checked out or on another.

Either the file is saved and committed, or neither. Hooks of the repository are asked as ever.
"""

import fcntl
import os
import re
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mesh_assets.authoring import Edit, Overtaken
from mesh_assets.errors import MeshError, RunError, UsageError

PATIENCE = 120.0
"""Seconds for git and the hooks of a repository."""
NOTHING = "Nothing was saved."
_WITHOUT = "Save without committing, or commit by hand."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a change is to be committed.

    Attributes:
        branch: On which; empty: on the one that is checked out. It is made when it is not there.
        author: `ann`, `ann@example.org` or `Ann <ann@example.org>`; empty: git's own identity.
    """

    branch: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What was made; empty when nothing was."""

    branch: str = ""
    id: str = ""


def write(root: Path, home: Path, edit: Edit, message: str, wanted: Wanted) -> Commit:
    """Write the change's file and commit it, and nothing else that is in the work tree.

    Args:
        root: The folder of mesh.yaml; the file's name is relative to it.
        home: Where one change at a time is made, and work trees are for a moment.

    Raises:
        Overtaken: The file has changed since it was read.
        UsageError: It cannot be committed as things stand: the reason, and what to do.
        RunError: Git or one of its hooks refuses, in its own words.
    """
    home.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(home / "commit.lock"):
        git = _Git(root)
        branch, elsewhere = _branch(git, wanted.branch)
        _clean(git, edit, branch if elsewhere else "HEAD")
        words = ["commit", "-q", "-m", message, *_author(git, wanted.author), "--only", "--", edit.shown]
        edit.write()
        try:
            made = _elsewhere(git, home, edit, branch, words) if elsewhere else _here(git, words)
        except MeshError as error:
            _take_back(edit, error)
            raise
    return Commit(branch=branch, id=made)


class _Git:
    """Git in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, text: str | None = None) -> str:
        """What it says.

        Raises:
            RunError: It refuses.
        """
        done = self.ask(*words, text=text)
        if done.returncode:
            raise RunError(f"git says: {_said(done)}\n    {NOTHING}")
        return done.stdout.strip()

    def ask(self, *words: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
        """What it says, also when it refuses."""
        # A hook or another git that has started us must not tell which repository is meant.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true"}
        if words[0] != "check-ignore":  # which takes no patterns anyway
            environment["GIT_LITERAL_PATHSPECS"] = "1"
        command = ["git", "-C", str(self.folder), *words]
        try:
            return subprocess.run(  # noqa: S603 - git, with words of ours
                command, env=environment, input=text or "", capture_output=True, text=True, errors="replace", check=False,
                timeout=PATIENCE,
            )  # fmt: skip
        except FileNotFoundError:
            raise UsageError(f"git is not installed, so nothing can be committed\n    {NOTHING} {_WITHOUT}") from None
        except subprocess.TimeoutExpired:
            raise RunError(
                f"git or one of its hooks has not ended after {PATIENCE:.0f} seconds\n    {NOTHING}"
            ) from None


def _said(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return "; ".join(lines[-5:])[:1000] or f"nothing, and ends with {done.returncode}"


def _branch(git: _Git, wanted: str) -> tuple[str, bool]:
    """The branch to commit on, and whether it is another one than that which is checked out."""
    inside = git.ask("rev-parse", "--is-inside-work-tree")
    if inside.returncode or inside.stdout.strip() != "true":
        raise UsageError(f"the mesh is in no git repository, so nothing can be committed\n    {NOTHING} {_WITHOUT}")
    if git.ask("rev-parse", "--verify", "-q", "HEAD^{commit}").returncode:
        raise UsageError(f"the repository has no commit yet\n    {NOTHING} Commit the mesh by hand first.")
    current = git.ask("symbolic-ref", "--short", "-q", "HEAD").stdout.strip()
    if not wanted and not current:
        mend = f"{NOTHING} Check a branch out, or name one to commit on."
        raise UsageError(f"no branch is checked out (a detached head), so nobody would find the commit\n    {mend}")
    if wanted and (wanted.startswith("-") or git.ask("check-ref-format", "--branch", wanted).stdout.strip() != wanted):
        raise UsageError(f"`{wanted}` cannot be the name of a branch\n    {NOTHING} Write one such as mesh/tests.")
    return (current, False) if wanted in ("", current) else (wanted, True)


def _clean(git: _Git, edit: Edit, onto: str) -> None:
    """Refuse when the commit would hold more than this change of the file."""
    if git.ask("ls-files", "--error-unmatch", "--", edit.shown).returncode:
        if not git.ask("check-ignore", "-q", "--", edit.shown).returncode:
            raise UsageError(f"git ignores {edit.shown}, so it cannot be committed\n    {NOTHING} {_WITHOUT}")
        raise UsageError(f"{edit.shown} was never committed\n    {NOTHING} Commit it once by hand first.")
    if git.ask("rev-parse", "--verify", "-q", f"{onto}^{{commit}}").returncode:
        onto = "HEAD"  # the branch is not there yet
    where = "" if onto == "HEAD" else f" on the branch {onto}"
    prefix = git("rev-parse", "--show-prefix")
    base = git.ask("rev-parse", "--verify", "-q", f"{onto}:{prefix}{edit.shown}").stdout.strip()
    if base != git("hash-object", "--path", edit.shown, "--stdin", text=edit.before):
        mend = f"{NOTHING} The commit would hold those changes, too: commit them by hand first, or put them away."
        if where:
            mend = f"{NOTHING} Bring the branch up to date, or name another one."
        raise UsageError(f"{edit.shown} differs from what is committed{where}\n    {mend}")
    if onto == "HEAD" and git.ask("diff", "--cached", "--quiet", "--", edit.shown).returncode:
        raise UsageError(f"{edit.shown} has changes that are staged\n    {NOTHING} Commit or unstage them first.")


def _author(git: _Git, author: str) -> list[str]:
    """The author of the commit, where it is not git's own identity; without any identity, who commits is the mesh."""
    plain = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", author).split())
    found = re.fullmatch(r"([^<>]*)<([^<>]*)>", plain)
    bare = re.sub(r"[<>]", "", plain)
    name, mail = (found[1].strip(), found[2].strip()) if found else (bare, bare if "@" in bare else "")
    if not name:
        name = mail
    if git.ask("var", "GIT_COMMITTER_IDENT").returncode:
        mend = f'{NOTHING} Tell it once: git config user.name "…" and git config user.email "…".'
        raise UsageError(f"git does not know who commits\n    {mend}")
    return [f"--author={name} <{mail}>"] if name else []


def _here(git: _Git, words: list[str]) -> str:
    git(*words)
    return git("rev-parse", "HEAD")


def _elsewhere(git: _Git, home: Path, edit: Edit, branch: str, words: list[str]) -> str:
    """Commit in a work tree that is there for a moment: hooks see the branch as it would be."""
    new = bool(git.ask("rev-parse", "--verify", "-q", f"refs/heads/{branch}").returncode)
    prefix = git("rev-parse", "--show-prefix")
    done = False
    with tempfile.TemporaryDirectory(dir=home, prefix="commit-") as folder:
        tree = Path(folder) / "tree"
        try:
            git("worktree", "add", "-q", *(["-b", branch, str(tree), "HEAD"] if new else [str(tree), branch]))
            (tree / prefix / edit.shown).write_text(edit.after, encoding="utf-8")
            made = _here(_Git(tree / prefix), words)
            done = True
        finally:
            git.ask("worktree", "remove", "--force", "--force", str(tree))
            git.ask("worktree", "prune")
            if new and not done:
                git.ask("branch", "-D", "-q", branch)
    return made


def _take_back(edit: Edit, error: MeshError) -> None:
    """Put the file back: what was not committed was not saved."""
    try:
        replace(edit, before=edit.after, after=edit.before).write()
    except (Overtaken, RunError):  # a hook that rewrites files, for one
        what = str(error).partition("\n")[0]
        mend = f"{edit.shown} is changed and was changed again meanwhile, by a hook perhaps: look at it, and commit by hand."
        raise RunError(f"{what}\n    {mend}") from None


@contextmanager
def _one_at_a_time(lock: Path) -> Generator[None]:
    """Of all processes."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
