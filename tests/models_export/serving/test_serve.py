"""python -m models_export.serve with a real colorizer and real photos, over a real port."""

import base64
import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from servers import ROOT, command, served

from models_export.export import export_run


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base path of an exported colorizer, with version 1."""
    return export_run(tiny_run, tmp_path_factory.mktemp("base")).parent


@pytest.fixture(scope="module")
def client(exported: Path) -> Iterator[httpx.Client]:
    """A client of a server of the exported colorizer."""
    with served(exported, "--max_image_pixels", "1000000", "--enable_batching") as (client, _):
        yield client


def instance(content: bytes) -> dict:
    return {"b64": base64.b64encode(content).decode()}


def predict(client: httpx.Client, *photos: bytes, name: str = "colorizer") -> httpx.Response:
    body = {"instances": [instance(photo) for photo in photos]}
    return client.post(f"/v1/models/{name}:predict", json=body)


def pictures(answer: httpx.Response) -> list[bytes]:
    assert answer.status_code == 200, answer.text[:500]
    return [base64.b64decode(one["b64"]) for one in answer.json()["predictions"]]


def test_photos_come_back_as_the_saved_model_colours_them(client, exported, sample_photos):
    photos = [path.read_bytes() for path in sorted((sample_photos / "val").glob("*.jpg"))[:3]]
    signature = tf.saved_model.load(str(exported / "1")).signatures["serving_default"]
    expected = signature(image_bytes=tf.constant(photos))["colorized_bytes"].numpy().tolist()
    assert pictures(predict(client, *photos)) == expected
    # As TensorFlow Serving's own resnet_client.py asks.
    data = json.dumps({"instances": [instance(photos[0])]})
    answer = client.post("/v1/models/colorizer:predict", content=data)
    assert pictures(answer) == expected[:1]
    lightness = np.linspace(-1, 1, 30 * 20).reshape(1, 30, 20, 1)
    body = {"signature_name": "predict_ab", "inputs": lightness.tolist()}
    ab = client.post("/v1/models/colorizer:predict", json=body).json()["outputs"]
    assert np.shape(ab) == (1, 30, 20, 2)


def test_bad_photos_are_named_and_the_others_go_on(client, sample_photos):
    good = next((sample_photos / "val").glob("*.jpg")).read_bytes()
    huge = io.BytesIO()
    Image.new("L", (1001, 1000)).save(huge, "PNG")
    for bad, reason in (
        (b"", "is empty"),
        (b"no photo", "is not an image"),
        (good[:2000], "is damaged or cut off"),
        (huge.getvalue(), "claims 1001 x 1000 pixels; the limit is 1000000"),
    ):
        answer = predict(client, good, bad)
        assert answer.status_code == 400
        message = answer.json()["error"]
        assert message.startswith("image_bytes[1]: ") and reason in message
    assert len(pictures(predict(client, good))) == 1


def test_photos_are_turned_upright_before_the_graph(client, sample_photos):
    with Image.open(next((sample_photos / "val").glob("*.jpg"))) as image:
        picture = image.convert("RGB").crop((0, 0, 120, 90))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, webp = io.BytesIO(), io.BytesIO()
    picture.save(turned, "PNG", exif=exif)
    picture.save(webp, "WEBP", lossless=True)
    upright, plain = pictures(predict(client, turned.getvalue(), webp.getvalue()))
    assert Image.open(io.BytesIO(upright)).size == (90, 120)
    assert Image.open(io.BytesIO(plain)).size == (120, 90)


def test_a_new_version_takes_over_under_load_without_a_failed_request(exported, sample_photos):
    base = exported.parent / "swapped"
    shutil.copytree(exported / "1", base / "1")
    photo = next((sample_photos / "val").glob("*.jpg")).read_bytes()
    ended, failures, count = threading.Event(), [], [0]

    with served(base, "--file_system_poll_wait_seconds", "0.1") as (client, _):

        def ask() -> None:
            while not ended.is_set():
                answer = predict(client, photo, name="swapped")
                count[0] += 1
                if answer.status_code != 200:
                    failures.append(answer.text)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        shutil.copytree(exported / "1", base / ".2.partial")
        (base / ".2.partial").rename(base / "2")
        deadline = time.monotonic() + 60
        while client.get("/v1/models/swapped/versions/2").json() != available("2"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        so_far = count[0]
        while count[0] < so_far + 8:
            time.sleep(0.05)
        ended.set()
        for asker in askers:
            asker.join()
        gone = client.get("/v1/models/swapped/versions/1").json()["model_version_status"]
    assert failures == [] and gone[0]["state"] == "END"


def available(version: str) -> dict:
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": version, "state": "AVAILABLE", "status": status}]}


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ([], 2, "either --model_base_path or --model_config_file is needed"),
        (["--model_base_path", "nowhere"], 1, "nowhere: no such folder"),
        (["--model_base_path", ".", "--batching_parameters_file", "x"], 2, "--enable_batching"),
        (["--model_config_file", "nowhere"], 1, "nowhere: cannot be read"),
        (["--model_config_file", "x", "--model_name", "x"], 2, "goes with --model_base_path"),
    ],
)
def test_wrong_usage_is_told_in_one_line(flags, code, message, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command(*flags), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code and message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_told(client, exported):
    port = str(client.base_url.port)
    words = command("--model_base_path", exported, "--rest_api_port", port, "--port", "0")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_clients_that_dawdle_over_their_headers_are_hung_up_on(client):
    url = client.base_url
    with socket.create_connection((url.host, url.port), timeout=30) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\n")
        started = time.monotonic()
        for _ in range(5):
            # A byte now and then does not help.
            slow.sendall(b"x")
            time.sleep(0.2)
        with contextlib.suppress(ConnectionResetError):
            assert slow.recv(1) == b""
        assert 5 < time.monotonic() - started < 25
    with socket.create_connection((url.host, url.port), timeout=30) as patient:
        # One that has asked before may ask again.
        for _ in range(2):
            patient.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            told = b""
            while not told.endswith(b"ok\n"):
                told += patient.recv(4096)
            assert told.startswith(b"HTTP/1.1 200")
