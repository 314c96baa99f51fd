"""A small mesh for the tests of the portal: two domains, one of them with hostile names and values."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from starlette.types import ASGIApp

from mesh_assets.address import QUESTIONS
from mesh_assets.portal.serving import application
from tests.making import Place

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"
SECRET = "secret-of-a-person"


def small(root: Path) -> Place:
    """`shop.orders` (with a masked column) from a file, `money.revenue` from that; nothing is built yet."""
    place = Place(root)
    place.domain(
        "shop",
        """
        inputs:
          - source: raw/orders.csv
            as: raw_orders
            contract: raw_orders.odcs.yaml
        outputs:
          - port: orders
        """,
    )
    place.write(
        "domains/shop/raw/orders.csv", f"id,amount,buyer,note\n1,10,{SECRET},a\n2,20,{SECRET},b\n3,30,{SECRET},c\n"
    )
    place.write(
        "domains/shop/README.md",
        f"# Shop {EVIL}\n\n```sql\nselect id, amount, buyer, note from shop.orders where amount > 0\n```\n",
    )
    columns = {
        "id": "BIGINT; required: true",
        "amount": "BIGINT",
        "buyer": "VARCHAR; classification: restricted",
        "note": "VARCHAR",
    }
    place.contract("shop.raw_orders", columns)
    place.contract(
        "shop.orders",
        {**columns, "amount": "BIGINT; logicalTypeOptions: {maximum: 1000}"},
        quality=f"""
        - id: some_rows
          metric: rowCount
          mustBeGreaterThan: 0
          description: {json.dumps(EVIL)}
        """,
    )
    place.sql("shop.orders", "select * from shop.raw_orders")
    place.domain("money", "inputs: [{port: shop.orders}]\noutputs: [{port: revenue}]\n")
    place.contract("money.revenue", {"total": "BIGINT"})
    place.sql("money.revenue", "select sum(amount)::bigint as total from shop.orders")
    return place


@contextmanager
def served(app: ASGIApp, port: int) -> Iterator[str]:
    """The application on a real port, in a thread."""
    import threading

    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    pause = threading.Event()
    while not server.started:
        pause.wait(0.05)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def app_of(place: Place, **options: object) -> ASGIApp:
    """The portal of a place."""
    return application(place.root, place.settings, **options)  # ty: ignore


class Client:
    """Asks an application as a browser does, without one."""

    def __init__(self, app: ASGIApp, host: str = "127.0.0.1") -> None:
        self.app, self.host = app, host

    def get(self, path: str, **headers: str):
        """A page."""
        return self._ask("GET", path, {key.replace("_", "-"): value for key, value in headers.items()})

    def post(self, path: str, data: dict[str, str] | None = None, **headers: str):
        """A form, sent from a page of the portal's own unless the headers say otherwise."""
        given = headers or {"origin": f"http://{self.host}", "sec-fetch-site": "same-origin"}
        return self._ask("POST", path, {key.replace("_", "-"): value for key, value in given.items()}, data or {})

    def _ask(self, method: str, path: str, headers: dict[str, str], data: dict[str, str] | None = None):
        import asyncio

        import httpx

        async def ask():
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{self.host}") as client:
                return await client.request(method, path, headers=headers, data=data)

        return asyncio.run(ask())


class Described:
    """Holds a portal's API to its own OpenAPI document, with every object closed: an undescribed key is a fault, too."""

    def __init__(self, client: Client) -> None:
        from jsonschema import Draft202012Validator, FormatChecker

        self.client = client
        self.document = client.get("/mesh/api/openapi.json").json()
        Draft202012Validator.check_schema(self.document["components"]["schemas"])
        self.schemas = json.loads(json.dumps(self.document["components"]), object_hook=_closed)
        formats = FormatChecker(formats=())
        formats.checks("date-time", raises=ValueError)(lambda text: not isinstance(text, str) or _moment(text))
        formats.checks("date", raises=ValueError)(lambda text: not isinstance(text, str) or len(text) == 10)
        self.validator = lambda schema: Draft202012Validator(
            {**schema, "components": self.schemas}, format_checker=formats
        )

    def check(self, path: str) -> dict:
        """What is at a path of the API, which must be as it is described."""
        answer = self.client.get(f"/mesh/api{path}")
        assert answer.status_code == 200, (path, answer.text)
        self.validate(path, answer.json())
        return answer.json()

    def problem(self, path: str) -> None:
        """That nothing is there, said as it is described."""
        answer = self.client.get(f"/mesh/api{path}")
        assert answer.status_code == 404, (path, answer.text)
        self.validate(path, answer.json(), status="404")

    def validate(self, path: str, data: object, status: str = "200") -> None:
        """That data is what is described for a path."""
        said = self.document["paths"][f"/mesh/api{self._template(path)}"]["get"]["responses"][status]
        self.validator(said["content"]["application/json"]["schema"]).validate(data)

    def _template(self, path: str) -> str:
        """The path of the document that stands for this one: the one with the fewest holes."""
        words, fitting = path.split("/"), []
        for template in self.document["paths"]:
            known = template.removeprefix("/mesh/api").split("/")
            if len(known) == len(words) and all(
                one == other or (one == "{question}" and other in QUESTIONS) or (one[:1] == "{" and one != "{question}")
                for one, other in zip(known, words, strict=True)
            ):
                fitting.append((sum(one[:1] == "{" for one in known), "/".join(known)))
        return min(fitting)[1]


def _closed(schema: dict) -> dict:
    return {**schema, "additionalProperties": False} if "properties" in schema and "type" in schema else schema


def _moment(text: str) -> bool:
    return "T" in text and datetime.fromisoformat(text).tzinfo is not None
