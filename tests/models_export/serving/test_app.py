"""The application over HTTP: limits, compression, CORS, health, metrics."""

import asyncio
import gzip
import json
import threading

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from models_export.serving.app import Limits, build_app
from models_export.serving.rest import Answer
from models_export.serving.statuses import Code

PREDICT = "/v1/models/half_plus_two:predict"
BODY = b'{"instances": [1.0]}'


@pytest.fixture
def client(app) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def test_an_answer_is_json_with_headers_that_browsers_heed(client):
    answer = client.post(PREDICT, content=BODY)
    assert answer.status_code == 200 and answer.json() == {"predictions": [2.5]}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_path_is_taken_as_it_came(client):
    assert client.post("/v1/models/a%20model:predict", content=BODY).status_code == 200
    answer = client.get("/v1/models/a%2Fb")
    assert answer.status_code == 404
    assert answer.json() == {"error": "Could not find any versions of model a/b"}
    assert client.get("/v1/models/half_plus_two?x=1").status_code == 200
    answer = client.get("/v1/models/a%0Ab")
    assert answer.json() == {"error": "Could not find any versions of model a\nb"}
    assert client.get("/v2/models").status_code == 404
    assert client.get("/v1").status_code == 400


def test_gzip_is_inflated_with_a_cap(client):
    headers = {"content-encoding": "gzip"}
    answer = client.post(PREDICT, content=gzip.compress(BODY), headers=headers)
    assert answer.json() == {"predictions": [2.5]}
    bomb = gzip.compress(bytes(10_000_000))
    assert len(bomb) < 10_000
    assert client.post(PREDICT, content=bomb, headers=headers).status_code == 429
    for damaged in (b"no gzip", gzip.compress(BODY)[:-9]):
        answer = client.post(PREDICT, content=damaged, headers=headers)
        assert answer.status_code == 400 and "The body is no gzip" in answer.json()["error"]
    answer = client.post(PREDICT, content=BODY, headers={"content-encoding": "br"})
    assert answer.json() == {"error": "Content-Encoding br is not understood"}


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_that_are_too_large_are_refused(client, chunked):
    content = bytes(10_001)
    pieces = (content[start : start + 1000] for start in range(0, len(content), 1000))
    answer = client.post(PREDICT, content=pieces if chunked else content)
    assert answer.status_code == 429
    assert answer.json() == {"error": "The request is larger than 10000 bytes"}


@pytest.mark.parametrize(
    ("length", "status"), [("-1", 400), ("x", 400), ("1" * 5000, 429), ("0" * 99 + "1", 200)]
)
def test_the_length_that_a_request_claims(app, length, status):
    sent = []

    async def receive() -> dict:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    scope = scope_of("POST", PREDICT, [(b"content-length", length.encode())])
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == status


def test_a_body_that_does_not_arrive_is_given_up(app):
    sent = []

    async def receive() -> dict:
        await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(app(scope_of("POST", PREDICT, []), receive, send))
    assert sent[0]["status"] == 504
    assert json.loads(sent[1]["body"]) == {"error": "The request did not arrive in time"}


def scope_of(method: str, path: str, headers: list[tuple[bytes, bytes]]) -> dict:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8501),
    }


def test_bodies_together_are_bounded_and_given_back(api):
    client = TestClient(build_app(api, lambda: True, Limits(total_bytes=100)))
    for _ in range(20):
        assert client.post(PREDICT, content=BODY).status_code == 200
    answer = client.post(PREDICT, content=BODY + bytes(100))
    assert answer.status_code == 503
    assert answer.json() == {"error": "The server is busy: its memory is in use"}
    assert client.post(PREDICT, content=BODY).status_code == 200


def test_cors_only_where_it_is_asked_for(client, api):
    answer = client.options(PREDICT, headers={"origin": "https://example.org"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert client.options(PREDICT).status_code == 400
    closed = TestClient(build_app(api, lambda: True, Limits()))
    answer = closed.post(PREDICT, content=BODY)
    assert "access-control-allow-origin" not in answer.headers


def test_health(client, api):
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").status_code == 200
    loading = TestClient(build_app(api, lambda: False, Limits()))
    assert loading.get("/healthz").status_code == 200
    assert loading.get("/readyz").status_code == 503


def test_prometheus_reads_tensorflow_serving_s_names(client, api):
    client.post(PREDICT, content=BODY)
    client.post(PREDICT, content=b"")
    client.get("/v1/models/made-up")
    page = client.get("/metrics").text
    count = ":tensorflow:serving:request_count"
    assert f'{count}{{model_name="half_plus_two",status="OK"}} 1.0' in page
    assert f'{count}{{model_name="half_plus_two",status="INVALID_ARGUMENT"}} 1.0' in page
    assert f'{count}{{model_name="",status="NOT_FOUND"}} 1.0' in page
    labels = 'API="predict",entrypoint="REST",model_name="half_plus_two"'
    assert f":tensorflow:serving:request_latency_count{{{labels}}} 1.0" in page
    closed = TestClient(build_app(api, lambda: True, Limits()))
    assert closed.get("/metrics").status_code == 404


def test_more_requests_than_there_are_places_are_refused_at_once():
    class Slow:
        def __init__(self) -> None:
            self.release = threading.Event()
            self.working = threading.Semaphore(0)

        def photo_models(self) -> list[str]:
            return []

        def answer(self, method: str, path: str, body: bytes) -> Answer:
            self.working.release()
            assert self.release.wait(30)
            return Answer(Code.OK, b"{}")

    slow = Slow()

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(build_app(slow, lambda: True, Limits(requests=2)))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            held = [asyncio.create_task(client.get("/v1/models/a")) for _ in range(2)]
            for _ in held:
                await asyncio.to_thread(slow.working.acquire)
            refused = await client.get("/v1/models/a")
            assert refused.json() == {"error": "The server is busy: too many requests"}
            slow.release.set()
            return [refused.status_code, *[(await one).status_code for one in held]]

    assert asyncio.run(ask()) == [503, 200, 200]
