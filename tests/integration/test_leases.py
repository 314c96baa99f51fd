"""Who is building what, over hosts: a step that lives holds its table, whatever the clock of its host says."""

import threading
from datetime import datetime, timedelta

import pytest

from mesh_assets import ledger as ledgers
from mesh_assets import store as stores
from mesh_assets.domain import LakeConfig
from mesh_assets.errors import RunError
from mesh_assets.ledger import Ledger


class Host:
    """Where the next calls come from: a name, and a clock that is off."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch

    def be(self, name: str, minutes: int = 0) -> None:
        """From here on, be another host."""

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + timedelta(minutes=minutes)

        self.patch.setattr("socket.gethostname", lambda: name)
        for module in (ledgers, stores):
            self.patch.setattr(module, "datetime", Clock)


@pytest.fixture
def host(monkeypatch) -> Host:
    return Host(monkeypatch)


@pytest.fixture
def config(postgres, tmp_path) -> LakeConfig:
    """A ledger that several hosts share: in PostgreSQL."""
    return LakeConfig(catalog=f"postgres:{postgres}", data=str(tmp_path / "data"), schema=f"leases_{id(tmp_path)}")


@pytest.mark.parametrize("minutes", [-10, 0, 10])
def test_a_step_on_a_host_whose_clock_is_off_keeps_its_table(host, config, tmp_path, minutes):
    ledger = Ledger(tmp_path, config, lease_seconds=30.0)
    host.be("far", minutes)
    with ledger.lease(["a.b"], "run-far"):
        host.be("near")
        assert ledger.building() == {"a.b": "run-far"}
        with pytest.raises(RunError, match=r"a/b is being built by run run-far"), ledger.lease(["a.b"], "run-near"):
            pass
        host.be("far", minutes)
    assert ledger.building() == {}


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_step_that_died_on_such_a_host_gives_its_table_up_in_time(host, config, tmp_path, minutes, monkeypatch):
    """Not ten minutes later: its last beat is told by the clock that all share."""
    monkeypatch.setattr(Ledger, "_keep_alive", lambda *_: None)  # dead: nothing beats, nothing is released
    ledger = Ledger(tmp_path, config, lease_seconds=0.5)
    host.be("far", minutes)
    ledger._take(["a.b"], "run-far", 0.0)
    host.be("near")
    assert ledger.building() == {"a.b": "run-far"}
    with ledger.lease(["a.b"], "run-near", wait=20.0):
        assert ledger.building() == {"a.b": "run-near"}


def test_it_beats_while_it_lives(host, config, tmp_path):
    """Longer than a lease lasts, seen from another host."""
    ledger = Ledger(tmp_path, config, lease_seconds=2.0)
    host.be("far", -10)
    with ledger.lease(["a.b"], "run-far"):
        threading.Event().wait(3.0)
        host.be("near")
        assert ledger.building() == {"a.b": "run-far"}
        host.be("far", -10)
