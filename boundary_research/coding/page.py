"""The coding page: served on its own with one link a coder, or in a notebook cell.

Both hosts show the same front-end module and answer it with the same service. The served page
listens on this computer alone unless it is told otherwise; a coder's link opens her own
assignment and nothing else.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from boundary_research._checks import DataError, check_choice, check_file
from boundary_research.coding._front_end import STATIC, join_modules
from boundary_research.coding._page_server import build_app
from boundary_research.coding._page_service import PageService
from boundary_research.coding.store import CodingStore, Identity

if TYPE_CHECKING:
    import anywidget
    from starlette.applications import Starlette

LOOPBACK = ("127.0.0.1", "::1", "localhost")
DEFAULT_PORT = 8765
INSTALL = (
    'The coding page needs more packages. Install them: pip install "boundary-research[page]".'
)


def create_app(
    store: CodingStore | str | os.PathLike[str], *, allowed_hosts: Sequence[str] = ("*",)
) -> Starlette:
    """Return the coding page of a store as an ASGI application, to be run by any ASGI server.

    Parameters
    ----------
    store : CodingStore or path
        The study's store.
    allowed_hosts : sequence of str
        Host names that the page answers to; ``"*"`` for any.

    Raises
    ------
    DataError
        If starlette is not installed or the store cannot be opened.
    """
    opened = store if isinstance(store, CodingStore) else CodingStore(store)
    try:
        return build_app(opened, allowed_hosts=allowed_hosts)
    except ImportError:
        raise DataError(INSTALL) from None


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise DataError(f"port must be from 0 (any free one) to 65535, got {port}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise DataError(
            f"The page cannot listen on {host} port {port} ({error.strerror}). Choose another "
            f"port with --port, or stop what uses this one."
        ) from None


def serve_page(
    store_path: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    certificate: str | os.PathLike[str] | None = None,
    key: str | os.PathLike[str] | None = None,
    announce: Callable[[str], object] = print,
) -> None:
    """Serve the coding page of a store until it is interrupted.

    Parameters
    ----------
    store_path : str or path
        A file made by `create_study_store`.
    host : str
        Where to listen. The default is reached from this computer alone; ``"0.0.0.0"`` from every
        computer of the network.
    port : int
        0 for any free port.
    certificate, key : path, optional
        PEM files for HTTPS. Without them narratives and tokens cross a network in the clear.
    announce : callable
        Gets each line that tells what is going on.

    Raises
    ------
    DataError
        If the store cannot be opened, the port is taken or a package is missing.
    """
    try:
        import uvicorn
    except ImportError:
        raise DataError(INSTALL) from None
    if (certificate is None) != (key is None):
        raise DataError("HTTPS needs both a certificate and a key.")
    tls: dict[str, Any] = {}
    if certificate is not None and key is not None:
        tls["ssl_certfile"] = str(check_file(certificate, what="Certificate"))
        tls["ssl_keyfile"] = str(check_file(key, what="Key"))
    local = host in LOOPBACK
    store = CodingStore(store_path)
    app = create_app(store, allowed_hosts=LOOPBACK if local else ("*",))
    listener = _listen(host, port)
    place = f"[{host}]" if ":" in host else host
    scheme = "https" if tls else "http"
    announce(f"Coding page of {store.name!r} at {scheme}://{place}:{listener.getsockname()[1]}/")
    announce("Each coder opens the link that was made for her. Press Ctrl+C to stop.")
    if not local and not tls:
        announce(
            "Anybody on the network between may read what is sent. Give a certificate and a key, "
            "or put the page behind a server that speaks HTTPS."
        )
    # No access log: who read what when is the store's to keep.
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="off", **tls
    )
    try:
        config.load()
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    except ssl.SSLError as error:
        raise DataError(
            f"Certificate and key cannot be used ({error.reason or 'not PEM'}). Both must be PEM "
            f"files, and the key without a passphrase must fit the certificate."
        ) from None
    finally:
        listener.close()
        store.close()


def coding_widget(
    store: CodingStore | str | os.PathLike[str], coder_id: str
) -> anywidget.AnyWidget:
    """Return the coding page as a widget for a notebook cell.

    Parameters
    ----------
    store : CodingStore or path
        The study's store.
    coder_id : str
        A coder, whose own assignment is shown, or an adjudicator.

    Returns
    -------
    anywidget.AnyWidget
        Display it as a cell's last value.

    Notes
    -----
    Whoever runs the notebook can read the whole store. Coders who must not see each other's work
    use the served page.

    Raises
    ------
    DataError
        If anywidget is not installed or there is no such coder.
    """
    try:
        import anywidget
    except ImportError:
        raise DataError(INSTALL) from None
    opened = store if isinstance(store, CodingStore) else CodingStore(store)
    people = opened.coders().set_index("coder_id")["role"]
    check_choice(coder_id, list(people.index), name="coder_id")
    identity = Identity(coder_id, str(people[coder_id]))
    service = PageService(opened)

    class CodingWidget(anywidget.AnyWidget):
        """Answers the messages of the page's front end."""

        _esm = join_modules()
        _css = (STATIC / "coding-page.css").read_text("utf-8")

    widget = CodingWidget()

    def reply(_: Any, message: Any, buffers: Any) -> None:
        request = message if isinstance(message, dict) else {}
        status, content = service.handle(
            identity,
            str(request.get("method", "GET")),
            str(request.get("path", "")),
            request.get("body"),
        )
        widget.send({"id": request.get("id"), "status": status, "content": content})

    widget.on_msg(reply)
    return widget
