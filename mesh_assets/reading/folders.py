"""All domains' folders to their drafts: by as many processes as there are processors, when there are many folders.

Only a process of one thread is forked, as in `mesh check`: what another thread holds locked would stay locked in its
child. A code server of Dagster and a portal have threads, and read alone. Whoever reads, the drafts are the same and in
the same order.
"""

import io
import multiprocessing
import os
import pickle
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import MappingProxyType

from mesh_assets.reading.draft import DomainDraft
from mesh_assets.reading.folder import read_folder
from mesh_assets.reading.source import Map, Seq

MANY = 100  # fewer folders are read before a process could help
SHARE = 20  # folders that are handed out at once
THREADS = "/proc/self/task"  # where Linux lists this process's threads, those of libraries too

Share = tuple[str, ...]


def read_folders(root: str, names: list[str]) -> list[DomainDraft]:
    """The drafts of the domains in `domains/`, in the order of their names.

    Args:
        root: The mesh's folder, as a real path.
        names: The folders' names.
    """
    helpers = _processors() - 1
    if len(names) < MANY or helpers < 1 or not _may_fork():
        return [read_folder(root, name) for name in names]
    first, *others = names
    begun = [read_folder(root, first)]  # what it imports and compiles, the others inherit
    shares = [tuple(others[start : start + SHARE]) for start in range(0, len(others), SHARE)]
    try:
        pool = ProcessPoolExecutor(min(helpers, len(shares)), multiprocessing.get_context("fork"))
    except (ImportError, NotImplementedError, OSError):  # a system without semaphores
        return begun + [read_folder(root, name) for name in others]
    with pool:
        return begun + _shared(root, shares, pool)


def _shared(root: str, shares: list[Share], pool: ProcessPoolExecutor) -> list[DomainDraft]:
    """We read from the front, the helpers from the back, until we meet."""
    handed = dict(zip(reversed(shares), [_handed(root, share, pool) for share in reversed(shares)], strict=True))
    drafts: list[DomainDraft] = []
    for share in shares:
        future = handed[share]
        content = None if future is None or future.cancel() else _received(future)
        drafts += [read_folder(root, name) for name in share] if content is None else pickle.loads(content)  # noqa: S301 - our own child's
    return drafts


def _handed(root: str, share: Share, pool: ProcessPoolExecutor) -> "Future[bytes] | None":
    try:
        return pool.submit(_packed, root, share)
    except (BrokenProcessPool, OSError):  # no process to be had: we read it
        return None


def _received(future: "Future[bytes]") -> bytes | None:
    """What a helper has read; None when it died, whatever of."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _packed(root: str, share: Share) -> bytes:
    """In a helper: the drafts as bytes, without the texts that they were read from and the places in them."""
    drafts = [read_folder(root, name) for name in share]
    for draft in drafts:
        draft.document = None
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = {
        MappingProxyType: lambda one: (_frozen, (dict(one),)),
        Map: lambda one: (Map, (), None, None, iter(one.items())),
        Seq: lambda one: (Seq, (), None, iter(one)),
    }
    pickler.dump(drafts)
    return buffer.getvalue()


def _frozen(content: dict) -> MappingProxyType:
    return MappingProxyType(content)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _may_fork() -> bool:
    try:
        return len(os.listdir(THREADS)) == 1
    except OSError:  # not Linux, where forking is not to be trusted either
        return False
