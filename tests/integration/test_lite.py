"""Transfer learning for real: a network on EfficientNet-Lite0, trained, measured, exported."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from runs import history

import colorizer
from colorizer.config import FitConfig
from colorizer.fit import fit
from colorizer.models.lite_unet import build_lite_unet, is_of_encoder
from colorizer.network_config import LiteConfig, TransferConfig
from colorizer.pretrained.folding import load_folded_imagenet_weights
from colorizer.shipped import load_shipped
from colorizer.training.building import build_network
from models_export.export import export_run
from pipelines.errors import ColorizerError, UsageError

DECODER = (8, 8, 8, 8)
FROZEN = 5
TRANSFER = TransferConfig(frozen_blocks=FROZEN)


def trained(
    sample_photos: Path,
    run: Path,
    head: str,
    transfer: TransferConfig = TRANSFER,
) -> Path:
    return fit(
        FitConfig(
            data=sample_photos / "train",
            val_data=sample_photos / "val",
            run_dir=run,
            model="lite",
            lite=LiteConfig(head=head, decoder_filters=DECODER),
            transfer=transfer,
            image_size=64,
            batch_size=8,
            epochs=1,
            ema=0.0,
        )
    )


@pytest.fixture(scope="module")
def classes(sample_photos, tmp_path_factory) -> Path:
    return trained(sample_photos, tmp_path_factory.mktemp("classes") / "run", "classes")


def test_the_encoder_starts_from_imagenet_and_its_first_blocks_stay(classes):
    network = keras.models.load_model(classes / "model.keras", compile=False)
    start = build_lite_unet(64, decoder_filters=DECODER, head="classes")
    load_folded_imagenet_weights(start, "lite0")
    stay = ("stem_", *(f"block_{number}_" for number in range(FROZEN)))
    for layer, before in zip(network.layers, start.layers, strict=True):
        if is_of_encoder(layer) and layer.weights:
            same = np.array_equal(layer.kernel, before.kernel)
            assert same == layer.name.startswith(stay), layer.name
    assert np.isfinite(history(classes)[0]["val_loss"])


def test_the_encoder_may_be_the_larger_one(tmp_path):
    places = {"data": tmp_path / "photos", "run_dir": tmp_path / "run", "model": "lite"}
    lite = LiteConfig(variant="lite2", decoder_filters=DECODER)
    network = build_network(FitConfig(**places, image_size=64, lite=lite))
    start = build_lite_unet(64, variant="lite2", decoder_filters=DECODER)
    load_folded_imagenet_weights(start, "lite2")
    encoder = [layer for layer in network.layers if is_of_encoder(layer) and layer.weights]
    assert encoder
    for layer in encoder:
        np.testing.assert_array_equal(layer.kernel, start.get_layer(layer.name).kernel)


def test_a_training_may_go_on_from_the_shipped_weights(tmp_path):
    places = {"data": tmp_path / "photos", "run_dir": tmp_path / "run", "model": "lite"}
    chosen = {**places, "init_from": Path("shipped"), "image_size": 64}
    network = build_network(FitConfig(**chosen, lite=LiteConfig(head="classes")))
    shipped, _ = load_shipped()
    for weight, expected in zip(network.get_weights(), shipped.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    with pytest.raises(ColorizerError, match="shipped: is another network than --model lite"):
        build_network(FitConfig(**chosen))


def test_a_training_may_start_from_the_mean_of_several(classes, tmp_path):
    config = FitConfig.model_validate_json((classes / "config.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    network = keras.models.load_model(classes / "model.keras", compile=False)
    ours = network.get_weights()
    network.set_weights([weight + 1 for weight in ours])
    network.save(other / "model.keras")
    both = config.model_copy(update={"init_from": (classes, other)})
    for weight, own in zip(build_network(both).get_weights(), ours, strict=True):
        np.testing.assert_allclose(weight, own + 0.5, atol=1e-5)


def test_a_network_learns_from_others(classes, sample_photos, tmp_path):
    taught = TransferConfig(frozen_blocks=FROZEN, teachers=(classes,), taught=1.0)
    run = trained(sample_photos, tmp_path / "run", "classes", taught)
    said = FitConfig.model_validate_json((run / "config.json").read_text()).transfer
    assert said.teachers == (classes,)
    (alone,), (beside,) = history(classes), history(run)
    # The validation is that of the truth, the training's loss the teacher's.
    assert abs(beside["val_loss"] - alone["val_loss"]) < 1
    assert beside["loss"] != alone["loss"]


def test_the_regression_is_trained_too(sample_photos, tmp_path):
    run = trained(sample_photos, tmp_path / "run", "regression")
    assert history(run)[0]["loss"] > 0 and colorizer.load(run).styles == ()


def test_an_export_answers_in_the_style_that_it_was_made_for(classes, tmp_path):
    lightness = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 1)).astype(np.float32)
    run = colorizer.load(classes)
    for name, style in (("left_out", None), ("vivid", "vivid")):
        export = colorizer.load(export_run(classes, tmp_path, name, style=style))
        expected = run.styled(style or "faithful").predict_ab(lightness)
        np.testing.assert_allclose(export.predict_ab(lightness), expected, atol=1e-4)
        assert export.styles == ()


def test_a_model_of_one_style_is_not_exported_in_another(tiny_run, tmp_path):
    with pytest.raises(UsageError, match=r"--style vivid: .* has one style only"):
        export_run(tiny_run, tmp_path, style="vivid")
    assert not list(tmp_path.iterdir())


def test_colorize_paints_in_both_styles(classes, sample_photos, tmp_path):
    from colorizer.colorize import main

    photo = next((sample_photos / "val").rglob("*.jpg"))
    painted = []
    for style in ("faithful", "vivid"):
        words = [str(photo), "--output", str(tmp_path / style), "--model", str(classes)]
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.setattr("sys.argv", ["colorize", *words, "--style", style])
            main()
        assert not ended.value.code
        with Image.open(tmp_path / style / f"{photo.stem}.png") as picture:
            painted.append(np.asarray(picture))
    assert (painted[0] != painted[1]).any()
