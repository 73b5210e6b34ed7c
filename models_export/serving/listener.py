"""The HTTP server itself: uvicorn, with a time limit on headers and an orderly end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0


class PromptProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on clients whose headers take longer than `HEADER_SECONDS`.

    uvicorn waits for them forever: a thousand connections that send a byte now and then would
    take all of a process's file handles.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Takes what has come; the wait ends with the headers, and begins with the next ones."""
        if self._deadline is None and self.conn.their_state is h11.IDLE:
            self._expect_headers()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Listener(uvicorn.Server):
    """Answers requests until SIGTERM or SIGINT.

    Args:
        app: the ASGI application.
        host: address to listen on.
        port: 0 takes a free one; which one is printed.
        drain_seconds: how long requests at work may take once the end has come.
        on_end: called when the end has come, before requests are drained.
    """

    def __init__(
        self, app: Any, host: str, port: int, drain_seconds: int, on_end: Callable[[], None]
    ) -> None:
        # What clients send wrong is theirs to know, not a warning of ours.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                http=PromptProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                timeout_keep_alive=60,
                timeout_graceful_shutdown=drain_seconds,
                server_header=False,
            )
        )
        self._on_end = on_end

    async def startup(self, sockets: Any = None) -> None:
        """Begins to listen, and prints where."""
        await super().startup(sockets)
        for listening in self.servers:
            host, port = listening.sockets[0].getsockname()[:2]
            print(f"REST interface on http://{host}:{port}", flush=True)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Ends, not as uvicorn does, which raises the signal again: to be told to is no failure."""
        self._on_end()
        self.should_exit = True
