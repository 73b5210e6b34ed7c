"""The weights that ship with the package, and the script that packs them."""

import hashlib
import json
import shutil
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from PIL import Image

import colorizer
from colorizer import models, shipped
from colorizer.config import FitConfig
from colorizer.inference import FILM_SIDE, load, load_for_films
from colorizer.shipped import MANIFEST, WEIGHTS, load_shipped, read_manifest
from colorizer.shipped.signing import KEY, fingerprint_beside
from pipelines.errors import ColorizerError

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "pack_weights.py"
MEGABYTES_OF_WHEEL = 15


@pytest.fixture(scope="module")
def script(import_script) -> ModuleType:
    return import_script("pack_weights")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """What of a run the script reads, with an untrained network."""
    folder = tmp_path_factory.mktemp("run")
    tiny = {"encoder_filters": (4,) * 5, "decoder_filters": (4, 4), "output_filters": (4, 4)}
    config = FitConfig(data=Path("photos"), run_dir=folder, image_size=32, cnn=tiny, epochs=3)
    (folder / "config.json").write_text(config.model_dump_json())
    statistics = {"mean_ab": [0.1, -0.1], "image_size": 32, "resize": "squash"}
    (folder / "statistics.json").write_text(json.dumps(statistics))
    models.build("cnn", **config.network_arguments()).save(folder / "model.keras")
    scores = {"psnr": 23.0, "images": 5, "photos": ["not kept"], "gray": {"psnr": 21.0, "x": 1}}
    (folder / "faithful.json").write_text(json.dumps(scores))
    return folder


@pytest.fixture
def packed(script, run, tmp_path) -> Path:
    output = tmp_path / "shipped"
    script.pack(
        script.Arguments(earlier=(run,), figures=(run / "faithful.json",), output=output), run
    )
    script.sign_manifest(output, None)
    return output


def test_what_is_packed_is_the_network_in_float16(packed, run):
    network, statistics = load_shipped(packed)
    original = keras.models.load_model(run / "model.keras", compile=False)
    for weight, before in zip(network.get_weights(), original.get_weights(), strict=True):
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight, before.astype(np.float16))
    assert statistics == json.loads((run / "statistics.json").read_text())


def test_the_manifest_tells_recipe_and_figures_but_no_places(packed):
    manifest = read_manifest(packed)
    assert [stage["epochs"] for stage in manifest["stages"]] == [3, 3]
    assert not {"data", "run_dir", "val_data"} & set(manifest["stages"][0])
    assert manifest["figures"] == [
        {"name": "faithful", "images": 5, "psnr": 23.0, "gray": {"psnr": 21.0}}
    ]
    assert manifest["float16_changes_ab_by"] < 1


def test_weights_that_lose_too_much_are_not_packed(script, run, tmp_path):
    wild = shutil.copytree(run, tmp_path / "wild")
    network = keras.models.load_model(wild / "model.keras", compile=False)
    # Beyond what float16 can hold.
    network.layers[1].kernel.assign(np.full(network.layers[1].kernel.shape, 1e6))
    network.save(wild / "model.keras")
    with pytest.warns(RuntimeWarning, match="overflow"), pytest.raises(ColorizerError):
        script.pack(script.Arguments(output=tmp_path / "out"), wild)
    assert not (tmp_path / "out").exists()


def test_other_weights_than_the_manifest_s_are_refused(packed):
    damaged = bytearray((packed / WEIGHTS).read_bytes())
    damaged[200] ^= 1
    (packed / WEIGHTS).write_bytes(damaged)
    with pytest.raises(ColorizerError, match=r"weights\.npz: is not the file known: SHA-256"):
        load_shipped(packed)


def test_a_manifest_that_was_changed_is_refused(packed):
    manifest = (packed / MANIFEST).read_bytes()
    (packed / MANIFEST).write_bytes(manifest.replace(b'"cnn"', b'"CNN"', 1))
    with pytest.raises(ColorizerError, match=r"manifest\.json: its signature does not hold"):
        load_shipped(packed)


def test_weights_and_checksum_exchanged_together_are_refused(packed):
    weights = (packed / WEIGHTS).read_bytes() + b"more"
    (packed / WEIGHTS).write_bytes(weights)
    manifest = read_manifest(packed)
    manifest["sha256"] = hashlib.sha256(weights).hexdigest()
    (packed / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ColorizerError, match="its signature does not hold"):
        load_shipped(packed)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json.sig", b""),
        ("manifest.json.sig", bytes(64)),
        (KEY, b"no key"),
        (KEY, b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
    ],
)
def test_a_damaged_signature_or_key_is_named(packed, name, content):
    (packed / name).write_bytes(content)
    with pytest.raises(ColorizerError, match=r"manifest\.json: its signature|key\.pem: is no"):
        read_manifest(packed)


def test_the_key_that_is_named_signs(script, packed, tmp_path):
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    fingerprint = script.sign_manifest(packed, tmp_path / "key")
    assert fingerprint == fingerprint_beside(packed / MANIFEST)
    signature = (packed / f"{MANIFEST}.sig").read_bytes()
    key.public_key().verify(signature, (packed / MANIFEST).read_bytes())
    # The same file, the same signature: Ed25519 draws no random number.
    assert script.sign_manifest(packed, tmp_path / "key") == fingerprint
    assert (packed / f"{MANIFEST}.sig").read_bytes() == signature
    assert load_shipped(packed)


@pytest.mark.parametrize("content", [None, b"no key", "encrypted", "another kind"])
def test_what_is_no_private_key_is_told(script, packed, tmp_path, content):
    path = tmp_path / "key"
    if content == "encrypted":
        secret = BestAvailableEncryption(b"secret")
        content = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, secret
        )
    elif content == "another kind":
        content = X25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ColorizerError, match=r"key: (cannot be read|is no)"):
        script.sign_manifest(packed, path)


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST, f"{MANIFEST}.sig", KEY])
def test_a_missing_file_is_named(packed, name):
    (packed / name).unlink()
    with pytest.raises(ColorizerError, match=name):
        load_shipped(packed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"sha256": None}, "lacks sha256"), ({"model": "dcgan", "arguments": {}}, "does not hold")],
)
def test_a_manifest_that_does_not_fit_is_refused(script, packed, changed, message):
    manifest = {**read_manifest(packed), **changed}
    kept = {key: value for key, value in manifest.items() if value is not None}
    (packed / MANIFEST).write_text(json.dumps(kept))
    script.sign_manifest(packed, None)
    with pytest.raises(ColorizerError, match=message):
        load_shipped(packed)


def test_the_package_colours_without_a_model_of_one_s_own():
    loaded = colorizer.load()
    assert loaded.path is None and loaded.styles == ("faithful", "vivid")
    told = loaded.provenance
    assert (told.network, told.sha256) == ("lite", read_manifest()["sha256"])
    assert told.settings == {"style": "faithful"}
    picture = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    faithful, vivid = (loaded.colorize(picture, style=style) for style in loaded.styles)
    assert faithful.shape == picture.shape and (faithful != vivid).any()


def test_the_shipped_files_are_small_and_described():
    folder = shipped.FOLDER
    assert (folder / WEIGHTS).stat().st_size < MEGABYTES_OF_WHEEL * 1_000_000
    manifest = read_manifest()
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    fingerprint = fingerprint_beside(folder / MANIFEST)
    assert fingerprint in card
    assert fingerprint in (SCRIPT.parents[1] / "README.md").read_text(encoding="utf-8")
    names = [figures["name"] for figures in manifest["figures"]]
    assert names == ["faithful", "vivid", "train_alone"]
    for figures in manifest["figures"]:
        assert figures["psnr"] > figures["gray"]["psnr"]
        # The card tells the very figures of the manifest.
        assert f"{figures['psnr']:.2f}" in card and f"{figures['delta_e_76']:.2f}" in card


def test_films_are_coloured_by_the_same_weights_at_a_smaller_size(sample_photos):
    photos, films = load(), load_for_films()
    assert (photos.image_size, films.image_size) == (256, FILM_SIDE)
    assert films.styles == photos.styles and films.provenance == photos.provenance
    picture = np.asarray(Image.open(next((sample_photos / "val").glob("*.jpg"))).convert("L"))
    lightness = picture[None, :, :, None].astype(np.float32) / 127.5 - 1
    apart = np.abs(films.predict_ab(lightness) - photos.predict_ab(lightness))
    assert 0 < apart.mean() < 0.05
