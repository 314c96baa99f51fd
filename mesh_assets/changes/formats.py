"""Whether every text of one format is one of another: the patterns are followed as automata, so that the answer is a proof.

A pattern is read as the tests read it (`audit/patterns.py`), then as Python's own parser sees it. What is no plain regular language of
characters, such as a word boundary, and what is too large to follow, is not answered.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from re import _constants as words  # ty: ignore[missing-module-member] - Python's parser: it is there since 3.11
from re import _parser as parser  # ty: ignore[missing-module-member]
from typing import Any

from mesh_assets.audit.patterns import FORMATS, LAST, Engine, Ranges, compiled, others, whole
from mesh_assets.audit.values import CannotAnswer

MOST = 4_000
"""States of an automaton, and pairs of them; repeats that are longer make more."""
_CODE = re.compile(r"\\x\{([0-9a-f]+)\}")


class _Unclear(Exception):  # noqa: N818 - never leaves this module
    """It cannot be followed."""


@lru_cache(maxsize=2_000)
def includes(outer: str, inner: str) -> bool | None:
    """Whether every text of the format `inner` is of the format `outer`, as a column's shape spells them; None: not known."""
    if outer == inner:
        return True
    try:
        ours, theirs = _Automaton(), _Automaton()
        ours.read(_pattern(outer))
        theirs.read(_pattern(inner))
        return _all_of(theirs, ours)
    except (_Unclear, CannotAnswer, RecursionError, re.error):
        return None


def _pattern(told: str) -> str:
    """The pattern that is meant: of a named format, or one that is anchored; several together are not followed."""
    if told in FORMATS:
        return whole(told)
    if not told.startswith("^") and not told.endswith("$"):
        raise _Unclear
    return told


@dataclass
class _Automaton:
    """States by number; what leads from each to which others, by a range of characters, or by none."""

    moves: list[list[tuple[Ranges, int]]] = field(default_factory=list)
    free: list[list[int]] = field(default_factory=list)
    last: int = 0

    def read(self, pattern: str) -> None:
        """Take a pattern, which is searched for: where it is not anchored, anything may stand."""
        said = _CODE.sub(lambda code: f"\\U{int(code.group(1), 16):08x}", compiled(pattern, Engine.DUCKDB))
        parsed = parser.parse(said)
        if parsed.state.flags & re.IGNORECASE:
            raise _Unclear
        items = list(parsed)
        start = self.new()
        anchored = bool(items) and items[0] == (words.AT, words.AT_BEGINNING)
        closed = len(items) > anchored and items[-1] == (words.AT, words.AT_END)
        begun = start if anchored else self.anything(start)
        end = self.sequence(items[anchored : len(items) - closed], begun)
        self.last = end if closed else self.anything(end)

    def new(self) -> int:
        if len(self.moves) > MOST:
            raise _Unclear
        self.moves.append([])
        self.free.append([])
        return len(self.moves) - 1

    def anything(self, at: int) -> int:
        there = self.new()
        self.free[at].append(there)
        self.moves[there].append((((0, LAST),), there))
        return there

    def sequence(self, items: Iterable[Any], at: int) -> int:
        for what, told in items:
            at = self.one(what, told, at)
        return at

    def one(self, what: Any, told: Any, at: int) -> int:  # noqa: ANN401 - what Python's parser gives
        if what is words.SUBPATTERN:
            _, added, _, inner = told
            if added:
                raise _Unclear
            return self.sequence(inner, at)
        if what is words.BRANCH:
            end = self.new()
            for branch in told[1]:
                self.free[self.sequence(branch, self._beside(at))].append(end)
            return end
        if what in (words.MAX_REPEAT, words.MIN_REPEAT):
            return self.repeat(*told, at)
        there = self.new()
        self.moves[at].append((_ranges(what, told), there))
        return there

    def repeat(self, low: int, high: int, inner: Any, at: int) -> int:  # noqa: ANN401 - as above
        for _ in range(low):
            at = self.sequence(inner, at)
        if high is words.MAXREPEAT:
            loop = self._beside(at)
            self.free[self.sequence(inner, loop)].append(loop)
            return loop
        end = self.new()
        for _ in range(high - low):
            self.free[at].append(end)
            at = self.sequence(inner, at)
        self.free[at].append(end)
        return end

    def _beside(self, at: int) -> int:
        there = self.new()
        self.free[at].append(there)
        return there

    def reached(self, states: Iterable[int]) -> frozenset[int]:
        found, todo = set(states), list(states)
        while todo:
            for one in self.free[todo.pop()]:
                if one not in found:
                    found.add(one)
                    todo.append(one)
        return frozenset(found)

    def after(self, states: frozenset[int], char: int) -> frozenset[int]:
        return self.reached({there for one in states for ranges, there in self.moves[one] if _holds(ranges, char)})

    def edges(self) -> Iterator[int]:
        """Characters at which some range begins, or the one before has ended."""
        for moves in self.moves:
            for ranges, _ in moves:
                for low, high in ranges:
                    yield low
                    yield high + 1


def _all_of(inner: _Automaton, outer: _Automaton) -> bool:
    """Whether whatever the one takes the other takes, too: every pair of states that some text leads to is looked at."""
    chars = sorted({0, *(edge for edge in (*inner.edges(), *outer.edges()) if edge <= LAST)})
    todo = [(inner.reached([0]), outer.reached([0]))]
    seen = set(todo)
    while todo:
        ours, theirs = todo.pop()
        if inner.last in ours and outer.last not in theirs:
            return False
        for char in chars:
            if following := inner.after(ours, char):
                pair = (following, outer.after(theirs, char))
                if pair not in seen:
                    seen.add(pair)
                    todo.append(pair)
        if len(seen) > MOST:
            raise _Unclear
    return True


def _holds(ranges: Ranges, char: int) -> bool:
    at = bisect_right(ranges, (char, LAST + 1)) - 1
    return at >= 0 and ranges[at][0] <= char <= ranges[at][1]


def _ranges(what: Any, told: Any) -> Ranges:  # noqa: ANN401 - what Python's parser gives
    if what is words.LITERAL:
        return ((told, told),)
    if what is words.NOT_LITERAL:
        return others(((told, told),))
    if what is not words.IN:
        raise _Unclear  # an anchor in the middle, a word boundary
    negated = told[0] == (words.NEGATE, None)
    found = []
    for kind, value in told[negated:]:
        if kind not in (words.LITERAL, words.RANGE):
            raise _Unclear
        found.append((value, value) if kind is words.LITERAL else tuple(value))
    joined = tuple(_joined(found))
    return others(joined) if negated else joined


def _joined(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    low = high = -1
    for start, end in sorted(ranges):
        if start > high:
            if low >= 0:
                yield low, high
            low, high = start, end
        high = max(high, end)
    if low >= 0:
        yield low, high
