"""Which ports `mesh change serve` leaves to a person: it says why, and what to do instead."""

from dataclasses import replace
from datetime import date

import pytest

from mesh_assets.changes.impact import moved
from mesh_assets.changes.shape import Shape
from mesh_assets.changes.succession import succession
from mesh_assets.contract import Contract
from mesh_assets.domain import Load, Mesh, OutputPort, Partitions, Table, Toolchain
from mesh_assets.errors import Place, UsageError

PLACE = Place("domains/d/domain.yaml")
PORT = Table(
    name="d.t",
    toolchain=Toolchain.SQL,
    inputs=(),
    where=PLACE,
    contract=Contract(id="c", version="1.0.0", name="t", columns=(), tests=()),
)
PARTS = Partitions(every="daily", by="day", start="2026-01-01")
BY_HAND = {
    "docker": ({"toolchain": Toolchain.DOCKER}, "runs elsewhere"),
    "databricks": ({"toolchain": Toolchain.DATABRICKS}, "runs elsewhere"),
    "append": ({"load": Load.APPEND}, "is incremental .`load: append`."),
    "upsert": ({"load": Load.UPSERT}, "is incremental .`load: upsert`."),
    "partitions": ({"partitions": PARTS, "toolchain": Toolchain.PYTHON}, "has partitions and is not in SQL"),
    "artefact": ({"artifact": True}, "is an artefact"),
}


@pytest.mark.parametrize("which", BY_HAND)
def test_what_a_program_cannot_write_is_told_with_the_reason_and_the_way(tmp_path, which):
    changed, why = BY_HAND[which]
    table = replace(PORT, port=OutputPort(table="t", where=PLACE), **changed)
    mesh = Mesh(name="m", root=tmp_path, tables={"d.t": table})
    nothing = moved("d.t", Shape(columns=()), Shape(columns=()))
    with pytest.raises(UsageError, match=why) as told:
        succession(mesh, nothing, "d.t", "", date(2099, 3, 31))
    assert "`mesh impact --port d/t …` prints the shim" in str(told.value)
