"""What a kitchen needs of git: a work tree on a branch of its own, and one merge. Git itself does the work."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh_assets.errors import RunError, UsageError

PATIENCE = 5.0
"""Seconds that a lock of git's is waited for."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree.

    Attributes:
        top: Its folder.
        prefix: The mesh's folder within it, empty or ending with a slash.
    """

    top: Path
    prefix: str = ""

    def head(self) -> str:
        """The commit that is checked out.

        Raises:
            UsageError: There is none yet.
        """
        done = _git(self.top, "rev-parse", "--verify", "-q", "HEAD^{commit}", check=False)
        if done.returncode:
            raise UsageError(f"{self.top} has no commit yet\n    Commit first, or open with --no-code.")
        return done.stdout.strip()

    def branch(self) -> str:
        """The branch that is checked out; empty for a detached head."""
        return _git(self.top, "symbolic-ref", "--short", "-q", "HEAD", check=False).stdout.strip()

    def has(self, branch: str) -> bool:
        """Whether there is a local branch of that name."""
        return not _git(self.top, "rev-parse", "--verify", "-q", f"refs/heads/{branch}", check=False).returncode

    def start(self, branch: str) -> str:
        """Where work on a branch goes on: its own commit, or that of the one remote that has it; empty: it is new.

        Raises:
            UsageError: Several remotes have it, and they differ.
        """
        if self.has(branch):
            return f"refs/heads/{branch}"
        told = _git(self.top, "for-each-ref", "--format=%(objectname) %(refname)", f"refs/remotes/*/{branch}").stdout
        found = dict(line.split(" ", 1) for line in told.splitlines())
        if len(found) > 1:
            raise UsageError(
                f"several remotes have a branch `{branch}`: {', '.join(sorted(found.values()))}\n"
                f"    Make it of the one that you mean: git branch {branch} REMOTE/{branch}"
            )
        return next(iter(found.values()), "")

    def changed(self) -> tuple[str, ...]:
        """Files of the mesh that differ from the commit that is checked out, also new ones."""
        out = _git(self.top, "status", "--porcelain", "-z", "--", self.prefix or ".").stdout
        entries = iter(out.split("\0"))
        found = []
        for entry in entries:
            if not entry:
                continue
            found.append(entry[3:])
            if entry[0] in "RC":
                found.append(next(entries, ""))
        return tuple(sorted(filter(None, found)))

    def between(self, one: str, other: str) -> tuple[str, ...]:
        """Files that differ between two commits."""
        out = _git(self.top, "diff", "--name-only", "-z", one, other, "--").stdout
        return tuple(sorted(filter(None, out.split("\0"))))

    def unlike(self, commit: str, folder: str) -> tuple[str, ...]:
        """Files below a folder of the work tree that differ from a commit, also those that git ignores or does not know."""
        known = _git(self.top, "diff", "--name-only", "--no-renames", "-z", commit, "--", folder).stdout
        others = _git(self.top, "ls-files", "--others", "-z", "--", folder).stdout
        return tuple(sorted(filter(None, {*known.split("\0"), *others.split("\0")})))

    def ignored(self, folder: str) -> frozenset[str]:
        """Files below a folder of the work tree that git ignores."""
        words = ("ls-files", "--others", "--ignored", "--exclude-standard", "-z")
        return frozenset(filter(None, _git(self.top, *words, "--", folder).stdout.split("\0")))

    def patch(self, since: str) -> str:
        """What the mesh's files have become since a commit, as a patch; new files that are not added are only named."""
        return _git(self.top, "diff", since, "--", self.prefix or ".").stdout

    def open(self, folder: Path, branch: str, base: str) -> "Repository":
        """A work tree in `folder`, on the branch, which is made when it is not there: where a remote has it, else at `base`."""
        new = [] if self.has(branch) else ["-b", branch]
        words = ["worktree", "add", "-q", *new, str(folder), (self.start(branch) or base) if new else branch]
        _git(self.top, *words)
        return Repository(folder, self.prefix)

    def close(self, folder: Path) -> None:
        """Remove a work tree, whatever is in it, also one that is half made."""
        _git(self.top, "worktree", "remove", "--force", "--force", str(folder), check=False)
        _git(self.top, "worktree", "prune", check=False)

    def delete(self, branch: str) -> None:
        """Delete a branch, merged or not."""
        _git(self.top, "branch", "-D", "-q", branch, check=False)

    def commit(self, message: str) -> str:
        """Commit everything that has changed in the mesh's folder; the commit that is checked out then."""
        if self.changed():
            _git(self.top, "add", "--all", "--", self.prefix or ".")
            _git(self.top, *self._author(), "commit", "-q", "--no-verify", "-m", message)
        return self.head()

    def is_ancestor(self, one: str, other: str) -> bool:
        """Whether `other` contains `one`."""
        return not _git(self.top, "merge-base", "--is-ancestor", one, other, check=False).returncode

    def holds(self, commit: str) -> bool:
        """Whether what is checked out has a commit, or its files as they are there: a forge may merge many commits as one."""
        if self.is_ancestor(commit, "HEAD"):
            return True
        base = _git(self.top, "merge-base", "HEAD", commit, check=False).stdout.strip()
        return bool(base) and not set(self.between(base, commit)) & set(self.between(commit, "HEAD"))

    def refuses(self, commit: str) -> str:
        """Why a commit cannot be merged into what is checked out, in words; empty when it can."""
        if self.is_ancestor(commit, "HEAD"):
            return ""
        if not self.branch():
            return "production's work tree is on no branch (a detached head): check one out, or promote with --pr"
        base = _git(self.top, "merge-base", "HEAD", commit, check=False).stdout.strip()
        if not base:
            return "the kitchen's branch and production's have no commit in common"
        touched = sorted(set(self._dirty()) & set(self.between(base, commit)))
        if touched:
            return f"production's work tree has changes of its own that are not committed: {', '.join(touched[:5])}"
        merged = _git(self.top, "merge-tree", "--write-tree", "--name-only", "HEAD", commit, check=False)
        if merged.returncode:
            return f"the kitchen's branch conflicts with production's: {', '.join(merged.stdout.split()[1:4])}"
        return ""

    def merge(self, commit: str, message: str) -> str:
        """Bring a commit into what is checked out: forward where that is possible, else by a merge commit."""
        if not self.is_ancestor(commit, "HEAD"):
            if self.is_ancestor("HEAD", commit):
                _git(self.top, "merge", "-q", "--ff-only", commit)
            else:
                _git(self.top, *self._author(), "merge", "-q", "--no-ff", "--no-verify", "-m", message, commit)
        return self.head()

    def as_one(self, base: str, message: str) -> None:
        """Put one new commit upon `base` in the place of all that the branch has committed since; no file is changed."""
        _git(self.top, "reset", "-q", "--soft", self._commit_tree("HEAD^{tree}", base, message))

    def undone(self, before: str, after: str, message: str) -> str:
        """A commit upon what is checked out that takes back what lies between two commits; making it changes nothing yet.

        `merge` brings it in. When all of it was taken back already, it is the commit that is checked out.

        Raises:
            RunError: Later work stands on it.
        """
        # As a merge: of what is checked out, and of a commit that goes from `after` back to `before`.
        back = self._commit_tree(f"{before}^{{tree}}", after, message)
        merged = _git(self.top, "merge-tree", "--write-tree", "HEAD", back, check=False)
        if merged.returncode:
            raise RunError(
                f"later commits have changed the same lines\n    Undo {before[:9]}..{after[:9]} by hand, and say --no-code."
            )
        tree = merged.stdout.split()[0]
        if tree == _git(self.top, "rev-parse", "HEAD^{tree}").stdout.strip():
            return self.head()
        commit = self._commit_tree(tree, "HEAD", message)
        if mine := sorted(set(self._dirty()) & set(self.between("HEAD", commit))):
            raise RunError(
                f"production's work tree has changes that are not committed: {', '.join(mine[:5])}\n"
                "    Commit or stash them first."
            )
        return commit

    def _commit_tree(self, tree: str, parent: str, message: str) -> str:
        return _git(self.top, *self._author(), "commit-tree", tree, "-p", parent, "-m", message).stdout.strip()

    def _dirty(self) -> list[str]:
        """Files of the whole work tree that are not committed as they are."""
        lines = _git(self.top, "status", "--porcelain", "-z", "--no-renames").stdout.split("\0")
        return [line[3:] for line in lines if line]

    def _author(self) -> list[str]:
        """Somebody, where git knows nobody: a build server's clone, for one."""
        if _git(self.top, "config", "user.email", check=False).stdout.strip():
            return []
        return ["-c", "user.name=mesh", "-c", "user.email=mesh@localhost"]


def repository(root: Path) -> Repository | None:
    """The repository that a folder is in; None when it is in none, or there is no git."""
    try:
        done = _git(root, "rev-parse", "--show-toplevel", "--show-prefix", check=False)
    except RunError:
        return None
    if done.returncode:
        return None
    top, _, prefix = done.stdout.partition("\n")
    return Repository(Path(top), prefix.strip("\n"))


def _git(folder: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    # A hook or another git that has started us must not tell which repository is meant.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    command: Sequence[str] = ["git", "-C", str(folder), *words]
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            done = subprocess.run(  # noqa: S603 - git, with words of ours
                command, env=environment, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise RunError("git is not installed\n    Install it, or open with --no-code.") from None
        # Another git is at work here: a person's, or one that outlives its killed parent by a moment.
        if not done.returncode or ".lock': File exists" not in done.stderr or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if check and done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        said = told[-1] if told else f"git {words[0]} ended with {done.returncode}"
        raise RunError(f"git: {said}\n    Nothing of production was changed.")
    return done
