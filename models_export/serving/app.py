"""The HTTP side: an ASGI application over the REST interface, with limits and health."""

import asyncio
import contextlib
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from models_export.serving.json_responses import error_response
from models_export.serving.metrics import Metrics
from models_export.serving.page import file_route, page_routes
from models_export.serving.rest import Answer, RestApi
from models_export.serving.statuses import Code, ServingError, invalid

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
}
_CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_OPENAPI = Path(__file__).resolve().parent / "openapi.json"
_INFLATED_AT_ONCE = 1 << 16
_LENGTH_DIGITS = 15


class _Anything(StringConvertor):
    # Starlette's own "path" stops at a line feed, percent-encoded.
    regex = r"[\s\S]*"


register_url_convertor("anything", _Anything())


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    Attributes:
        body_bytes: of a body, as it comes and inflated.
        body_seconds: for a body to arrive.
        requests: worked on at once; what comes then is refused at once.
        total_bytes: of all bodies that are held at once; what comes then is refused.
    """

    body_bytes: int = 64 << 20
    body_seconds: float = 30.0
    requests: int = 128
    total_bytes: int = 1 << 30


def build_app(
    api: RestApi,
    is_ready: Callable[[], bool],
    limits: Limits,
    *,
    cors: bool = False,
    metrics: Metrics | None = None,
    metrics_path: str | None = None,
) -> Starlette:
    """Builds the application.

    Args:
        api: answers what comes below /v1/.
        is_ready: whether all models answer; /readyz tells.
        limits: of a request.
        cors: send CORS headers.
        metrics: counts requests, others' besides; None: its own.
        metrics_path: where Prometheus asks; None: nowhere.
    """
    metrics = metrics or Metrics()
    workers = anyio.CapacityLimiter(limits.requests)
    memory = _Memory(limits.total_bytes)

    async def rest(request: Request) -> Response:
        headers = dict(_CORS_HEADERS) if cors else {}
        if request.method == "OPTIONS":
            origin = request.headers.get("origin", "")
            return Response(status_code=200 if "://" in origin else 400, headers=headers)
        started = time.monotonic()
        answer = await _answered(request, api, limits, workers, memory)
        seconds = time.monotonic() - started
        metrics.take(answer.model, answer.action, answer.code, seconds)
        return Response(answer.body, answer.http_status, headers, "application/json")

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        return PlainTextResponse("ready\n") if is_ready() else PlainTextResponse("loading\n", 503)

    async def measured(_: Request) -> Response:
        return Response(metrics.page(), media_type="text/plain; version=0.0.4")

    methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]
    routes = [
        *page_routes(api.photo_models),
        file_route("/openapi.json", _OPENAPI),
        Route("/healthz", healthy),
        Route("/readyz", ready),
        Route("/v1/{rest:anything}", rest, methods=methods),
        Route("/v1", rest, methods=methods),
    ]
    if metrics_path:
        routes.insert(0, Route(metrics_path, measured))
    app = Starlette(routes=routes)
    app.add_middleware(_Secure)
    return app


class _Memory:
    """Counts the bytes of the bodies that are held. Only the event loop's thread touches it."""

    def __init__(self, total: int) -> None:
        self._left = total

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """Gives a function that takes so many bytes more; all are given back at the end."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._left:
                raise ServingError(Code.UNAVAILABLE, "The server is busy: its memory is in use")
            self._left -= size
            taken += size

        try:
            yield take
        finally:
            self._left += taken


async def _answered(
    request: Request,
    api: RestApi,
    limits: Limits,
    workers: anyio.CapacityLimiter,
    memory: _Memory,
) -> Answer:
    if workers.available_tokens < 1:
        return _refused(ServingError(Code.UNAVAILABLE, "The server is busy: too many requests"))
    # Reserved before the body is read: bodies of waiting requests would fill the memory.
    async with _reserved(workers) as private:
        with memory.held() as take:
            return await _worked_on(request, api, limits, private, take)


async def _worked_on(
    request: Request,
    api: RestApi,
    limits: Limits,
    private: anyio.CapacityLimiter,
    take: Callable[[int], None],
) -> Answer:
    try:
        body = await _body(request, limits, take)
    except ServingError as error:
        return _refused(error)
    path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    return await anyio.to_thread.run_sync(api.answer, request.method, path, body, limiter=private)


@contextlib.asynccontextmanager
async def _reserved(workers: anyio.CapacityLimiter) -> AsyncIterator[anyio.CapacityLimiter]:
    """Holds one of the places; gives a limiter that lets one thread run."""
    owner = object()
    workers.acquire_on_behalf_of_nowait(owner)
    try:
        yield anyio.CapacityLimiter(1)
    finally:
        workers.release_on_behalf_of(owner)


def _refused(error: ServingError) -> Answer:
    return Answer(error.code, error_response(error.message))


async def _body(request: Request, limits: Limits, take: Callable[[int], None]) -> bytes:
    """Reads the body as it comes, inflated where it is gzip.

    Raises:
        ServingError: it is too large, too slow, or not what it says.
    """
    too_large = ServingError(
        Code.RESOURCE_EXHAUSTED, f"The request is larger than {limits.body_bytes} bytes"
    )
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise invalid(f"Content-Encoding {encoding} is not understood")
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()):
        raise invalid("Content-Length is no number")
    # Compared by digits first: a number may have any number of them.
    if len(length.lstrip("0")) > _LENGTH_DIGITS or int(length) > limits.body_bytes:
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body_bytes:
                    raise too_large
                take(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise ServingError(Code.DEADLINE_EXCEEDED, "The request did not arrive in time") from None
    except ClientDisconnect:
        raise ServingError(Code.CANCELLED, "The client has gone") from None
    body = b"".join(chunks)
    if encoding == "identity":
        return body
    inflated = _inflated(body, limits.body_bytes, too_large)
    take(len(inflated))
    return inflated


def _inflated(body: bytes, limit: int, too_large: ServingError) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    parts, size, left = [], 0, body
    try:
        while left and not inflater.eof:
            part = inflater.decompress(left, _INFLATED_AT_ONCE)
            size += len(part)
            if size > limit:
                raise too_large
            parts.append(part)
            left = inflater.unconsumed_tail
    except zlib.error as error:
        raise invalid(f"The body is no gzip: {error}") from None
    if not inflater.eof:
        raise invalid("The body is no gzip: it is cut off")
    return b"".join(parts)


class _Secure:
    """Adds headers that browsers heed to every response."""

    def __init__(self, app: Callable) -> None:
        self._app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        async def with_headers(message: dict) -> None:
            if message["type"] == "http.response.start":
                own = [(k.lower().encode(), v.encode()) for k, v in _SECURITY_HEADERS.items()]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await self._app(scope, receive, with_headers)
