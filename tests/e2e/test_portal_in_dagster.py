"""The portal within Dagster's own web server, in processes of their own: beside Dagster's pages, and harming none of them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from urllib.parse import urlencode

import pytest

from tests.conftest import free_port
from tests.making import Place
from tests.portal_mesh import small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    made = small(tmp_path_factory.mktemp("dagster"))
    made.run()
    return made


def web_server(place: Place, *options: str, prefix: str = "") -> Generator[str]:
    port = free_port()
    environment = {
        **os.environ, "MESH_DIR": str(place.root), "MESH_HOME": str(place.root / ".mesh"), "MESH_PORTAL_LISTENS": "127.0.0.1",
        "DAGSTER_HOME": str(place.root / ".mesh" / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "mesh_assets.portal.webserver",
        "-m",
        "mesh_assets.definitions",
        "-d",
        str(place.root),
    ]
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port), *options],
        env=environment,
        cwd=place.root,
        stderr=subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}{prefix}"
    try:
        for _ in range(600):
            if process.poll() is not None or ask(f"{base}/server_info")[0] == 200:
                break
            time.sleep(0.5)
        yield base
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=90)


@pytest.fixture(scope="module")
def base(place) -> Generator[str]:
    yield from web_server(place, "--path-prefix", "/dg", "--read-only", prefix="/dg")


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, named), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_both_are_there_under_one_prefix(base):
    status, page = ask(f"{base}/mesh")  # followed to the first page
    assert status == 200
    assert 'href="/dg/mesh/domains/shop"' in page
    assert 'href="/dg/asset-groups"' in page
    assert json.loads(ask(f"{base}/mesh/domains/shop/orders/what.json")[1])["question"] == "what"
    query = {"query": '{assetNodes(assetKeys: [{path: ["shop", "orders"]}]) {description}}'}
    told = json.loads(ask(f"{base}/graphql", json.dumps(query).encode(), content_type="application/json")[1])
    (node,) = told["data"]["assetNodes"]
    assert "| [What is it](/dg/mesh/domains/shop/orders/what) |" in node["description"]
    linked = base.removesuffix("/dg") + "/dg/mesh/domains/shop/orders/what"
    assert ask(linked)[0] == ask(linked.replace("/dg/", "/"))[0] == 200, "a code server of its own knows no prefix"


def test_dagsters_pages_have_one_line_more(base):
    status, page = ask(f"{base}/assets/shop/orders", accept="text/html")
    assert status == 200
    assert "/dg/mesh/" in page
    assert page.count("mesh-domains") == 2


def test_dagsters_read_only_is_the_portals(base):
    host = base.removesuffix("/dg")
    status, told = ask(f"{base}/mesh/domains/shop/run", b"", origin=host, sec_fetch_site="same-origin")
    assert (status, told) == (403, "The portal is read-only here.\n")
    assert "This portal is read-only." in ask(f"{base}/mesh/")[1]


def test_a_test_that_is_saved_is_a_check_in_dagster_without_a_restart(place):
    checks = '{assetNodes(assetKeys: [{path: ["shop", "orders"]}]) {assetChecksOrError {... on AssetChecks {checks {name}}}}}'

    def known(base: str) -> set[str]:
        asked = json.dumps({"query": checks}).encode()
        (node,) = json.loads(ask(f"{base}/graphql", asked, content_type="application/json")[1])["data"]["assetNodes"]
        return {check["name"] for check in node["assetChecksOrError"]["checks"]}

    server = web_server(place)
    try:
        base = next(server)
        before = known(base)
        tests = f"{base}/mesh/domains/shop/orders/tests"
        form = ask(f"{tests}/new?of=amount&test=range")[1]
        revision = re.search(r'name="revision" value="(\w+)"', form).group(1)
        sent = {"of": "amount", "test": "range", "p_most": "25", "severity": "warning", "revision": revision}
        status, page = ask(f"{tests}/save", urlencode(sent).encode(), origin=base, sec_fetch_site="same-origin")
        assert status == 200
        assert "Saved: added amount__range" in page
        for _ in range(240):
            if "amount__range" in known(base):
                break
            time.sleep(0.5)
        assert known(base) == before | {"amount__range"}
    finally:
        server.close()


def test_another_host_name_is_not_answered(base):
    assert ask(f"{base}/mesh/", host="evil.example")[0] == 421
