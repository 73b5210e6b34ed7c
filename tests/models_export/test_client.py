"""The client against a server of our own, in this process."""

import io
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from PIL import Image

from models_export.client import ClientConfig, ServerError, ServingClient, colorize_through
from models_export.export import export_run
from models_export.serve import ServeConfig, Server
from pipelines.errors import PhotoError, UsageError


@pytest.fixture(scope="module")
def url(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base = export_run(tiny_run, tmp_path_factory.mktemp("base")).parent
    with Server(ServeConfig(model_base_path=base, port=0)) as server:
        listener = uvicorn.Server(
            uvicorn.Config(server.app, port=0, log_level="error", lifespan="off")
        )
        thread = threading.Thread(target=listener.run)
        thread.start()
        deadline = time.monotonic() + 60
        while not (listener.started and server.store.is_ready):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.servers[0].sockets[0].getsockname()[1]}"
        listener.should_exit = True
        thread.join()


def test_a_photo_comes_back_in_colour_and_upright(url, sample_photos):
    client = ServingClient(url)
    assert [one["state"] for one in client.status()] == ["AVAILABLE"]
    with Image.open(next((sample_photos / "val").glob("*.jpg"))) as image:
        picture = image.convert("RGB").crop((0, 0, 120, 90))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    picture.save(turned, "JPEG", exif=exif)
    with Image.open(io.BytesIO(client.colorize(turned.getvalue()))) as result:
        assert (result.format, result.mode, result.size) == ("PNG", "RGB", (90, 120))
        # The server's own words, with the network's name.
        assert "network cnn" in result.info["Comment"]
    with pytest.raises(PhotoError, match="is not an image"):
        client.colorize(b"no photo")


def test_a_folder_of_photos_good_and_bad(url, sample_photos, tmp_path, capfd):
    album = tmp_path / "album"
    (album / "deep").mkdir(parents=True)
    photos = sorted((sample_photos / "val").glob("*.jpg"))[:2]
    (album / "one.jpg").write_bytes(photos[0].read_bytes())
    (album / "deep" / "two.jpg").write_bytes(photos[1].read_bytes())
    (album / "bad.jpg").write_bytes(photos[0].read_bytes()[:900])
    config = ClientConfig(inputs=(str(album),), output=tmp_path / "out", url=url)
    assert colorize_through(config) == 1
    told = capfd.readouterr()
    assert told.out == f"2 done, 0 skipped, 1 failed: {tmp_path / 'out'}\n"
    (line,) = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {album / 'bad.jpg'}: ") and "damaged" in line
    results = sorted(p.relative_to(tmp_path / "out") for p in (tmp_path / "out").rglob("*.png"))
    assert [result.name for result in results] == ["two.png", "one.png"]
    again = config.model_copy(update={"skip_existing": True})
    assert colorize_through(again) == 1
    assert "0 done, 2 skipped, 1 failed" in capfd.readouterr().out


def test_what_the_server_says_is_told(url):
    with pytest.raises(ServerError, match="Could not find any versions of model foo") as unknown:
        ServingClient(url, "foo").status()
    assert unknown.value.status == 404
    with pytest.raises(ServerError, match="does not answer"):
        ServingClient("http://127.0.0.1:9").status()
    with pytest.raises(UsageError, match="is no http"):
        ServingClient("file:///etc/passwd")


def test_it_needs_no_tensorflow():
    script = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "import io\nfrom PIL import Image\n"
        "from models_export.client import ServingClient, ServerError\n"
        "photo = io.BytesIO(); Image.new('RGB', (9, 9)).save(photo, 'PNG')\n"
        "try:\n    ServingClient('http://127.0.0.1:9').colorize(photo.getvalue())\n"
        "except ServerError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and "does not answer" in done.stdout, done.stderr
