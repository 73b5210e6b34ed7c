"""Malformed HTTP, bodies and photos: no crash, no hang, no 500.

A few hundred of each by default; --slow runs more than 10,000.
"""

import base64
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from servers import served

from models_export.export import export_run

PREDICT = "/v1/models/colorizer:predict"
# No answer takes longer; the server's own limit for headers is 10 s.
PATIENCE = 30
COUNTS = [
    pytest.param(150, id="some"),
    pytest.param(3500, id="many", marks=pytest.mark.slow),
]


def made_up(examples: int):
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def client(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that must still be sane, and have complained of nothing, at the end."""
    base = export_run(tiny_run, tmp_path_factory.mktemp("base")).parent
    flags = ("--max_image_pixels", "200000", "--enable_batching")
    with served(base, *flags, quiet=False) as (client, _):
        client.timeout = PATIENCE
        yield client
        assert client.get("/readyz").status_code == 200
        (answer,) = client.post(PREDICT, json=asked(picture("PNG"))).json()["predictions"]
        assert base64.b64decode(answer["b64"]).startswith(b"\x89PNG")


def picture(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, kind)
    return encoded.getvalue()


def asked(*photos: bytes) -> dict:
    return {"instances": [{"b64": base64.b64encode(photo).decode()} for photo in photos]}


# Stands for a header of 70 kB: written out, it would fill the reports.
LONG = b"<long>"
PIECES = st.sampled_from(
    [
        b"POST /v1/models/colorizer:predict HTTP/1.1\r\n",
        b"GET /v1/models/colorizer HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"GET /page/../../etc/passwd HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"Host: a\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        b"Content-Length: 20\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Expect: 100-continue\r\n",
        b'5\r\n{"ins\r\n0\r\n\r\n',
        b"FFFFFFFFFFFFFFFFF\r\n",
        b'{"instances": [1]}',
        b"\r\n",
        b"\0\xff",
        LONG,
    ]
)


@pytest.mark.parametrize("examples", COUNTS)
def test_malformed_http(client, examples):
    address = (client.base_url.host, client.base_url.port)

    @made_up(examples)
    @given(st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=8))
    def ask(pieces: list[bytes]) -> None:
        sent, told = b"".join(pieces).replace(LONG, b"A" * 70_000), b""
        with socket.create_connection(address, timeout=PATIENCE) as connection:
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    told += part
            except TimeoutError:
                raise
            except OSError:
                # The server has hung up.
                pass
        assert not told or told.startswith(b"HTTP/1.1 ")
        assert not told.startswith(b"HTTP/1.1 5")

    ask()


NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.none())
VALUES = st.recursive(
    st.one_of(
        NUMBERS,
        st.text(max_size=20),
        st.builds(lambda content: {"b64": base64.b64encode(content).decode()}, st.binary()),
        st.fixed_dictionaries({"b64": st.text(max_size=20)}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(["b64", "image_bytes", "rgb", "lightness"]), st.text()),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=12,
)
SIGNATURES = st.one_of(
    st.sampled_from(["", "predict_ab", "colorize_rgb", "colorize_bytes", "serving_default"]),
    VALUES,
)
BODIES = st.fixed_dictionaries(
    {}, optional={"instances": VALUES, "inputs": VALUES, "signature_name": SIGNATURES}
)


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes changed here and there, or cut off, or with a part of them twice."""
    content = bytearray(whole)
    places = st.integers(0, len(content) - 1)
    for place, value in draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        content[place] = value
    how = draw(st.sampled_from(["whole", "whole", "cut", "twice"]))
    if how == "cut":
        del content[draw(places) :]
    elif how == "twice":
        first, last = sorted((draw(places), draw(places)))
        content[last:last] = content[first:last]
    return bytes(content)


def check(answer: httpx.Response) -> None:
    assert answer.status_code in (200, 400, 404, 429), answer.text[:500]
    content = json.loads(answer.content)
    assert ("error" in content) == (answer.status_code != 200)


@pytest.mark.parametrize("examples", COUNTS)
def test_malformed_bodies(client, examples):
    valid = json.dumps(asked(picture("PNG"))).encode()
    rgb = b'{"signature_name": "colorize_rgb", "inputs": [[[[1, 2, 3], [4, 5, 6]]]]}'
    texts = st.one_of(mutated(rgb), mutated(valid), st.binary(max_size=60))
    bodies = st.one_of(BODIES.map(lambda body: json.dumps(body).encode()), texts)
    elsewhere = st.binary(max_size=30).map(lambda name: f"/v1/{name.hex()}")
    paths = st.one_of(st.just(PREDICT), st.just(PREDICT), elsewhere)

    @made_up(examples)
    @given(paths, bodies)
    def ask(path: str, body: bytes) -> None:
        check(client.post(path, content=body))

    ask()


@pytest.mark.parametrize("examples", COUNTS)
def test_malformed_photos(client, shared_photos, examples):
    kinds = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP")
    sources = [picture(kind) for kind in kinds]
    bad = [path.read_bytes() for path in (shared_photos / "bad_images").iterdir() if path.is_file()]
    sources += [content for content in bad if 0 < len(content) < 100_000]
    photos = st.sampled_from(sources).flatmap(mutated)

    @made_up(examples)
    @given(st.lists(photos, min_size=1, max_size=2))
    def ask(several: list[bytes]) -> None:
        check(client.post(PREDICT, json=asked(*several)))

    ask()
