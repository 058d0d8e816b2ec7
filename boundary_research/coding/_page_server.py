"""The coding page over HTTP: a small ASGI application that knows people by their token.

The token comes in the fragment of a coder's link, which browsers never send, and from the page in
the Authorization header: it is in no address, log or cookie.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from boundary_research.coding._front_end import STATIC
from boundary_research.coding._page_service import PageService
from boundary_research.coding.store import CodingStore

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

BODY_BYTES = 1_000_000
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Narratives stay out of the browser's cache, and a new version of the page is seen at once.
    "cache-control": "no-store",
}


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _read_body(request: Request) -> Any:
    """Return the JSON body, or None where it is too large or is not JSON."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > BODY_BYTES:
            return None
    try:
        return json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return None


def build_app(store: CodingStore, *, allowed_hosts: Sequence[str] = ("*",)) -> Starlette:
    """Return the ASGI application for one store."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import FileResponse, JSONResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    # Some computers' own tables call .js text/plain, which browsers refuse as a module.
    mimetypes.add_type("text/javascript", ".js")
    service = PageService(store)

    async def answer(request: Request) -> Response:
        identity = await run_in_threadpool(store.identify, _bearer_token(request))
        if identity is None:
            message = "This link is not valid. Ask for a new one."
            return JSONResponse({"error": message}, status_code=401)
        body = await _read_body(request)
        if body is None:
            return JSONResponse({"error": "The request cannot be read."}, status_code=400)
        path = request.path_params["path"]
        query = f"?{request.url.query}" if request.url.query else ""
        status, content = await run_in_threadpool(
            service.handle, identity, request.method, path + query, body
        )
        return JSONResponse(content, status_code=status)

    async def index(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    routes = [
        Route("/", index),
        Route("/api/{path:path}", answer, methods=["GET", "PUT", "POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    middleware = [
        Middleware(_SecurityHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts)),
    ]
    return Starlette(routes=routes, middleware=middleware)


class _SecurityHeaders:
    """Adds the security headers to every answer, errors and files included."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                message["headers"] = list(message["headers"]) + [
                    (name.encode(), value.encode())
                    for name, value in SECURITY_HEADERS.items()
                    if name.encode() not in names
                ]
            await send(message)

        await self.app(scope, receive, send_with_headers)
