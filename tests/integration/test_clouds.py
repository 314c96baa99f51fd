"""Programs that run elsewhere, with a client in place of Docker, Kubernetes and Databricks: none of these is here."""

import re
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dagster._core.errors import DagsterPipesExecutionError

from mesh_assets.domain import Toolchain
from mesh_assets.orchestration import clouds
from tests.making import Place

KINDS = {
    "pipes.docker": "image: scoring:2, command: [python, score.py], client: {container_kwargs: {network: none}}",
    "pipes.k8s": "image: scoring:2, exchange: EXCHANGE, exchange_there: /mnt/mesh, client: {namespace: science}",
    "pipes.databricks": "exchange: EXCHANGE, exchange_there: /Volumes/mesh, client: {task: {task_key: score}}",
}


class Done:
    def get_results(self):
        return [dg.MaterializeResult(metadata={"cluster": "small"})]


class Client:
    """Does what the program would, and remembers how it was asked."""

    def __init__(self, asked, here, there, wrong=""):
        self.asked, self.here, self.there, self.wrong = asked, here, there, wrong

    def run(self, *, context, extras, **words):
        self.asked.append((extras, words))
        if self.wrong == "fails":
            raise DagsterPipesExecutionError("exited with 137")
        mapped = {name: path.replace(self.there, str(self.here)) for name, path in extras["inputs"].items()}
        if not self.wrong:
            output = extras["output"].replace(self.there, str(self.here))
            duckdb.sql(f"select id * 2 as id from '{mapped['shop.orders']}'").write_parquet(output)
        return Done()


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A mesh with one table of each toolchain, and how to build it: (place, what the client was asked)."""
    monkeypatch.setattr(clouds, "_task", lambda said: said)

    def make(toolchain, wrong=""):
        place, exchange = Place(tmp_path / "mesh"), tmp_path / "exchange"
        said = KINDS[toolchain].replace("EXCHANGE", str(exchange))
        tables = f"  scores: {{toolchain: {toolchain}, inputs: [orders], {said}}}\n"
        place.domain("shop", f"inputs: [{{source: raw/orders.csv}}]\ntables:\n{tables}")
        place.write("domains/shop/raw/orders.csv", "id\n1\n2\n")
        asked = []
        there = "/" if toolchain == "pipes.docker" else said.rpartition("exchange_there: ")[2].partition(",")[0]
        here = Path("/") if toolchain == "pipes.docker" else exchange
        monkeypatch.setitem(clouds.CLIENTS, Toolchain(toolchain), lambda: Client(asked, here, there, wrong))
        return place, asked

    return make


@pytest.mark.parametrize("toolchain", KINDS)
def test_it_is_handed_its_inputs_and_gives_a_table_back(shop, toolchain):
    place, asked = shop(toolchain)
    assert set(place.statuses().values()) == {"published"}
    assert place.rows("select id from shop.scores order by id") == [(2,), (4,)]
    ((extras, words),) = asked
    if toolchain == "pipes.databricks":
        assert words == {"task": {"task_key": "score"}}
        assert re.match("/Volumes/mesh/[0-9a-f]{8}/shop.scores/", extras["output"])
        return
    assert words["image"] == "scoring:2"
    assert words["env"]["MESH_OUTPUT"] == extras["output"]
    if toolchain == "pipes.k8s":
        assert words["namespace"] == "science"
        assert re.match("/mnt/mesh/[0-9a-f]{8}/shop.scores/", extras["output"])
    else:
        folder = extras["output"].rpartition("/")[0]
        assert words["command"] == ["python", "score.py"]
        assert words["container_kwargs"] == {"network": "none", "volumes": {folder: {"bind": folder, "mode": "rw"}}}
    assert set(place.statuses().values()) == {"unchanged"}


WRONG = {
    "fails": "`scoring:2` failed; nothing is published: exited with 137",
    "silent": "`scoring:2` ended, and wrote no table",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_goes_wrong_there_is_told_and_publishes_nothing(shop, wrong):
    place, _ = shop("pipes.docker", wrong)
    told = {row["table"]: row for row in place.run()["tables"]}["shop/scores"]
    assert told["status"] == "failed"
    assert WRONG[wrong] in told["message"]


def test_a_client_that_is_not_installed_is_named(shop, monkeypatch):
    place, _ = shop("pipes.docker")

    def nowhere():
        raise ImportError

    monkeypatch.setitem(clouds.CLIENTS, Toolchain.DOCKER, nowhere)
    told = {row["table"]: row for row in place.run()["tables"]}["shop/scores"]
    assert "shop.scores needs the package dagster-docker\n    pip install dagster-docker" in told["message"]
