"""What `openlineage:` of mesh.yaml says: where events of lineage are sent, and under which names."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from mesh_assets.domain import OpenLineage
from mesh_assets.errors import Problem
from mesh_assets.reading.source import Document, Map, child, text

KEY = "openlineage"
KEYS = ("url", "url_env", "api_key_env", "endpoint", "job_namespace", "table_namespace")


def read(document: Document) -> tuple[OpenLineage | None, tuple[Problem, ...]]:
    """The service of a mesh.yaml, None when there is none, and what is wrong with it; then it is left out."""
    said = child(document.root, KEY)
    if KEY not in document.root:
        return None, ()
    problems = (*_wrong_address(document, said), *_secrets(document, said))
    if problems:
        return None, problems
    return OpenLineage(**{key: text(said, key) for key in KEYS if key in said}), ()


def _wrong_address(document: Document, said: Map) -> Iterator[Problem]:
    given = [key for key in ("url", "url_env") if text(said, key)]
    if len(given) != 1:
        what = "`openlineage` has both `url` and `url_env`" if given else "`openlineage` has no address"
        mend = "Write `url: https://…`, or `url_env:` and the environment variable that holds it."
        place = (said, given[1]) if given else (document.root, KEY)
        yield document.problem("M880", what, mend, *place)
    elif given == ["url"] and not is_address(text(said, "url")):
        mend = "Write one such as `https://lineage.example.com`."
        yield document.problem("M880", "this is no address of the web", mend, said, "url")


def _secrets(document: Document, said: Map) -> Iterator[Problem]:
    try:
        address = urlsplit(text(said, "url"))
    except ValueError:
        return
    if address.username or address.password or address.query:
        mend = "Put the key into an environment variable, and name that: `api_key_env: OPENLINEAGE_API_KEY`."
        yield document.problem("M881", "a secret stands in this address", mend, said, "url")


def is_address(address: str) -> bool:
    """Whether it leads to a web server."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
