"""One look at lake, ledger and runs for all the sensors of a code location that ask at about the same time.

Each domain has a sensor of its own, and each wants to know where every table of the mesh stands. To look anew for each would
take a thousand domains a thousand times as long as to look once.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg

from mesh_assets import order
from mesh_assets.domain import Mesh
from mesh_assets.orchestration import progress
from mesh_assets.orchestration.tables import OpenEnvironment

FRESH = 1.0
"""Seconds for which a look is shared; where it takes longer, as long as it takes."""


@dataclass(frozen=True, slots=True)
class Look:
    """Where every table stands, and what is to be built; the record of changes is as new as that."""

    state: order.State
    decision: order.Decision
    until: float
    seen_by: set[str] = field(default_factory=set)


class Looks:
    """The looks of one code location. Safe for many threads."""

    def __init__(
        self, mesh: Mesh, open_environment: OpenEnvironment, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._mesh, self._open, self._clock = mesh, open_environment, clock
        self._lock = threading.Lock()
        self._last: Look | None = None

    def at(self, instance: dg.DagsterInstance, sensor: str) -> Look:
        """The last look, if it is fresh and this sensor has not had it: what it asked for then would not be in it."""
        with self._lock:
            look = self._last
            if look is None or look.until < self._clock() or sensor in look.seen_by:
                look = self._last = self._anew(instance)
            look.seen_by.add(sensor)
            return look

    def _anew(self, instance: dg.DagsterInstance) -> Look:
        from mesh_assets.changes.record import ChangeRecord

        began, env = self._clock(), self._open()
        state = env.state(running=progress.running(instance, self._mesh))
        decision = order.due(self._mesh, state)
        ChangeRecord(env).sync()
        now = self._clock()
        return Look(state, decision, now + max(FRESH, now - began))
