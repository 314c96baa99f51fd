"""Who may ask what: the same origin for everything that changes something, known host names, a strict policy for pages."""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "testserver"})
LARGEST = 256_000
"""Bytes of a form."""
SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Around the portal's application.

    Attributes:
        hosts: Host names that it answers to; empty: any. With the loopback names alone, a page elsewhere that lets its
            own name point here reads nothing.
        read_only: Nothing that changes anything is answered.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] = (), read_only: bool = False) -> None:
        self.app = app
        self.hosts = frozenset(hosts)
        self.read_only = read_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on with the headers of every answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if told := self._refusal(scope["method"], headers):
            status, text = told
            await PlainTextResponse(text, status, headers=HEADERS)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    given.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.hosts and urlsplit(f"//{host}").hostname not in {name.strip("[]") for name in self.hosts}:
            return (
                421,
                "The portal does not answer to this host name. MESH_PORTAL_HOSTS names those that it answers to.\n",
            )
        if method in SAFE:
            return None
        if self.read_only:
            return 403, "The portal is read-only here.\n"
        if not is_same_origin(headers):
            return 403, "Only a page of this portal may ask for that.\n"
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > LARGEST:
            return 413, "The form is too large, or does not say how large it is.\n"
        return None


def is_same_origin(headers: Headers) -> bool:
    """Whether a browser says that the request comes from a page of this very server; without a word it does not count."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        return False
    if site is not None and site != "same-origin":
        return False
    return origin is None or urlsplit(origin).netloc == headers.get("host")
