"""All domains' folders to their drafts: by as many processes as there are processors, when there are many folders.

Only a process of one thread is forked, as that of `mesh check`: what another thread holds locked would stay locked in
the child. A code server of Dagster and a portal have threads, and read alone. Whoever reads, the drafts are the same,
and in the same order.
"""

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from functools import cache
from io import BytesIO
from operator import attrgetter
from types import MappingProxyType
from typing import BinaryIO

from mesh_assets.contract import Column, Test
from mesh_assets.errors import Place
from mesh_assets.reading.draft import DomainDraft
from mesh_assets.reading.folder import read_folder
from mesh_assets.reading.source import Map, Seq

MANY = 100  # fewer folders are read before a child could help
SHARE = 20  # folders that are taken at once
THREADS = "/proc/self/task"  # where Linux lists this process's threads, those of libraries too
TOKEN = 2  # bytes of a share's number; what a pipe holds, 64 kB, is enough for 600,000 folders

FREQUENT = (Place, Test, Column)  # of each a domain has dozens

Read = dict[int, list[DomainDraft]]  # by the number of the share


def read_folders(root: str, names: list[str]) -> list[DomainDraft]:
    """The drafts of the domains in `domains/`, in the order of their names.

    Args:
        root: The mesh's folder, as a real path.
        names: The folders' names.
    """
    helpers = _processors() - 1
    if len(names) < MANY or helpers < 1 or not _may_fork():
        return [read_folder(root, name) for name in names]
    begun = [read_folder(root, names[0])]  # what it imports and compiles, the children inherit
    shares = [names[start : start + SHARE] for start in range(1, len(names), SHARE)]
    read = _read_together(root, shares, helpers)
    for number, share in enumerate(
        shares
    ):  # a share whose reader failed is read again, and the failure is ours to tell
        begun += read.get(number) or [read_folder(root, name) for name in share]
    return begun


def _read_together(root: str, shares: list[list[str]], helpers: int) -> Read:
    """What we and the children have read; each takes the next share from a pipe of their numbers, until it is empty."""
    numbers, filling = os.pipe()
    os.write(filling, b"".join(number.to_bytes(TOKEN, "little") for number in range(len(shares))))
    os.close(filling)
    children = [child for _ in range(helpers) if (child := _child(root, shares, numbers))]
    read: Read = {}
    try:
        read.update((number, [read_folder(root, name) for name in shares[number]]) for number in _taken(numbers))
        for _, answer in children:
            with suppress(EOFError, pickle.UnpicklingError):  # the end; or it died, and its shares are missing
                while True:
                    read |= pickle.load(answer)  # noqa: S301 - of our own child
    finally:
        os.close(numbers)
        for process, answer in children:
            answer.close()
            with suppress(ProcessLookupError, ChildProcessError):  # gone already
                os.kill(process, signal.SIGKILL)  # only if we are interrupted it has anything left to do
                os.waitpid(process, 0)
    return read


def _child(root: str, shares: list[list[str]], numbers: int) -> tuple[int, BinaryIO] | None:
    """A process that reads shares, and where its answer comes from; None when there is no process to be had."""
    here, there = os.pipe()
    try:
        process = os.fork()
    except OSError:
        os.close(here)
        os.close(there)
        return None
    if process:
        os.close(there)
        return process, open(here, "rb")
    try:
        os.close(here)
        packed = BytesIO()  # each share as soon as it is read: until the shares run out, the others take more of them
        for number in _taken(numbers):
            _pack({number: [read_folder(root, name) for name in shares[number]]}, packed)
        with open(there, "wb") as answer:
            answer.write(packed.getbuffer())
    finally:
        os._exit(0)  # whatever went wrong, nothing above us must go on in a child: the parent reads what is missing


def _taken(numbers: int) -> Iterator[int]:
    """The numbers of shares that nobody else has taken."""
    while token := os.read(numbers, TOKEN):
        yield int.from_bytes(token, "little")


def _pack(read: Read, answer: BinaryIO) -> None:
    """The drafts as bytes, without the texts that they were read from and the places in them."""
    for drafts in read.values():
        for draft in drafts:
            draft.document = None
    pickler = pickle.Pickler(answer, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = {
        MappingProxyType: lambda one: (_frozen, (dict(one),)),
        Map: lambda one: (Map, (), None, None, iter(one.items())),
        Seq: lambda one: (Seq, (), None, iter(one)),
        **{kind: _packer(kind) for kind in FREQUENT},
    }
    pickler.dump(read)


def _packer(kind: type[Place | Test | Column]) -> Callable[[object], tuple]:
    """How a frozen dataclass is packed: by its values alone. Its own way asks for its fields anew for every object."""
    values = attrgetter(*(one.name for one in fields(kind)))
    return lambda one: (_unpacked, (kind, *values(one)))


def _unpacked(kind: type[Place | Test | Column], *values: object) -> object:
    one = object.__new__(kind)
    for put, value in zip(_setters(kind), values, strict=True):
        put(one, value)
    return one


@cache
def _setters(kind: type[Place | Test | Column]) -> tuple[Callable[[object, object], None], ...]:
    """What sets each field of a dataclass with slots, frozen or not."""
    return tuple(getattr(kind, one.name).__set__ for one in fields(kind))


def _frozen(content: dict) -> MappingProxyType:
    return MappingProxyType(content)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _may_fork() -> bool:
    try:
        return len(os.listdir(THREADS)) == 1
    except OSError:  # not Linux, where forking is not to be trusted either
        return False
