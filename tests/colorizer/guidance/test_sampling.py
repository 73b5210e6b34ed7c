"""Other colours that are about as likely."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from colorizer.ab_classes import CLASSES
from colorizer.guidance.networks import LatentNetwork, Wish
from colorizer.guidance.sampling import draw_waves, field
from colorizer.inference import Colorizer, load
from colorizer.models.dcgan import build_dcgan_generator, split_dcgan_generator
from pipelines.errors import UsageError


@pytest.fixture(scope="module")
def shipped() -> Colorizer:
    return load()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 200, (50, 70), np.uint8)


def test_the_field_has_its_deviation_and_is_smooth() -> None:
    lightness = np.linspace(-1, 1, 24, dtype=np.float32)[None, None, :, None]
    lightness = np.broadcast_to(lightness, (1, 24, 24, 1))
    draws = np.stack([field(lightness, draw_waves(seed))[0].numpy() for seed in range(60)])
    assert draws.shape == (60, 24, 24, CLASSES)
    assert draws.mean() == pytest.approx(0, abs=0.05)
    assert draws.std() == pytest.approx(1, abs=0.05)
    # Neighbours in place (down the columns lightness is the same) and far ones.
    near, far = draws[:, 1:] - draws[:, :-1], draws[:, 0] - draws[:, -1]
    assert near.std() < 0.15 and far.std() > 1
    # A step in lightness divides more than the same step in place.
    across = draws[:, :, 1:] - draws[:, :, :-1]
    assert across.std() > 1.5 * near.std()


def test_a_photo_gets_the_same_field_in_any_batch() -> None:
    lightness = np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 1)).astype(np.float32)
    together, alone = (field(part, draw_waves(5)) for part in (lightness, lightness[1:2]))
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)


def test_seeds_give_other_colours_and_repeat(shipped: Colorizer, photo: np.ndarray) -> None:
    for style in shipped.styles:
        usual, first, again, second = (
            shipped.colorize(photo, style=style, seed=seed).astype(int) for seed in (None, 1, 1, 2)
        )
        # Networks of other tests may round otherwise in some threads; alone it repeats, see below.
        np.testing.assert_allclose(first, again, rtol=0, atol=1)
        for one, other in ((usual, first), (usual, second), (first, second)):
            assert np.abs(one - other).mean() > 1, style
    assert (shipped.colorize(photo) == shipped.colorize(photo, style="faithful")).all()


def test_wishes_add_up(shipped: Colorizer, photo: np.ndarray) -> None:
    vivid = shipped.styled("vivid")
    assert vivid.guided() is vivid
    np.testing.assert_array_equal(
        vivid.guided(seed=3).colorize(photo), shipped.colorize(photo, style="vivid", seed=3)
    )
    assert Wish(seed=0).over(Wish("vivid", seed=4)) == Wish("vivid", seed=0)


def test_the_dcgan_samples_by_its_own_noise(tmp_path: Path, photo: np.ndarray) -> None:
    keras.utils.set_random_seed(0)
    generator = build_dcgan_generator(32, noise_stddev=2.0)
    network = LatentNetwork(generator, 32, "this")
    seen = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 1)).astype(np.float32)
    processor, grower = split_dcgan_generator(generator)
    noise = np.float32(2.0 * np.random.default_rng(7).standard_normal((1, 1, 1, 100)))
    np.testing.assert_allclose(
        network.answering(Wish(seed=7))(seen), grower(processor(seen) + noise), atol=1e-5
    )
    np.testing.assert_allclose(network.answering(Wish())(seen), generator(seen), atol=1e-5)
    generator.save(tmp_path / "model.keras")
    (tmp_path / "statistics.json").write_text('{"mean_ab": [0, 0], "image_size": 32}')
    model = load(tmp_path)
    assert (model.colorize(photo, seed=1) == model.colorize(photo, seed=1)).all()
    assert (model.colorize(photo, seed=1) != model.colorize(photo)).any()


def test_others_do_not_sample(tiny_run: Path, photo: np.ndarray) -> None:
    with pytest.raises(UsageError, match=rf"--seed 1: {tiny_run} does not sample"):
        load(tiny_run).colorize(photo, seed=1)


def test_every_answer_repeats_to_the_bit_in_whatever_order() -> None:
    """In a process of its own: networks of other tests would be a company no command has."""
    script = """
import numpy as np
from colorizer import load
from colorizer.guidance.palette import Palette

model = load()
random = np.random.default_rng(0)
lightness = random.uniform(-1, 1, (1, 256, 256, 1)).astype(np.float32)
palette = Palette.of(random.integers(0, 256, (20, 30, 3), np.uint8))
wishes = [
    {"style": style, "seed": seed, "palette": preferred}
    for style in model.styles
    for seed, preferred in ((None, None), (1, None), (None, palette))
]
answers = [set() for _ in wishes]
for _ in range(12):
    for wish, found in zip(wishes, answers):
        found.add(model.guided(**wish).predict_ab(lightness).tobytes())
counts = [len(found) for found in answers]
assert set(counts) == {1}, counts
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
