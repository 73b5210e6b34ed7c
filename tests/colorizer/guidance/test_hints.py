"""Colour hints: their file, their places, and how they spread."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError
from skimage.color import rgb2lab

from colorizer import Hint
from colorizer.colorizing.inputs import Source
from colorizer.guidance.hints import HintsFile, points
from colorizer.guidance.propagation import MOST_HINTS, with_hints
from colorizer.inference import Colorizer
from pipelines.errors import ColorizerError, UsageError

SIZE = 32
RED = (200.0, 60.0, 60.0)
RED_AB = rgb2lab(np.array([[RED]]) / 255)[0, 0, 1:] / 128


def _halves() -> np.ndarray:
    """Lightness of a picture that is dark on the left and light on the right."""
    lightness = np.full((SIZE, SIZE, 1), -0.4, np.float32)
    lightness[:, SIZE // 2 :] = 0.6
    return lightness


def _spread(
    *hints: tuple[float, ...], lightness: np.ndarray | None = None, aspect: float = 1.0
) -> np.ndarray:
    """The change that hints make to a gray prediction."""
    lightness = np.zeros((SIZE, SIZE, 1), np.float32) if lightness is None else lightness
    given = np.array(hints, np.float32).reshape(-1, 5)
    return with_hints(lightness, np.zeros((SIZE, SIZE, 2), np.float32), given, aspect).numpy()


def _file(folder: Path, content: object) -> HintsFile:
    path = folder / "hints.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return HintsFile(path)


def test_pixels_and_shares_are_places() -> None:
    hints = [
        Hint(x=0, y=9, colour="#000000"),
        Hint(x=12.5, y="100%", colour="#FF8000"),
        Hint(x="0%", y="37.5 %", colour="#ffffff"),
    ]
    assert points(hints, 20, 10) == [
        (0.025, 0.95, 0, 0, 0),
        (0.65, 1, 255, 128, 0),
        (0, 0.375, 255, 255, 255),
    ]
    for x, y in ((20, 0), (0, 10)):
        with pytest.raises(ColorizerError, match=f"hint 2 at {x}, {y} lies outside the 20 x 10"):
            points([hints[0], Hint(x=x, y=y, colour="#000000")], 20, 10)


@pytest.mark.parametrize("place", [-1, True, None, float("nan"), float("inf"), "50", "101%", "-1%"])
def test_what_is_no_place(place: object) -> None:
    with pytest.raises(ValidationError, match="must be a number of pixels"):
        Hint(x=place, y=0, colour="#000000")


def test_a_file_names_photos_by_their_path_below_the_folder(tmp_path: Path) -> None:
    red, blue = {"x": 1, "y": 2, "colour": "#ff0000"}, {"x": "3%", "y": 4, "colour": "#0000ff"}
    file = _file(tmp_path, {"summer/lake.jpg": [red, blue], "a/b.png": [blue]})
    lake = Source(Path("album/summer/lake.jpg"), Path("summer/lake.jpg"))
    named = Source(Path("a/b.png"), Path("b.png"))
    assert file.of(lake) == [Hint(**red), Hint(**blue)]
    assert file.of(named) == [Hint(**blue)]
    assert file.of(Source(Path("album/lake.jpg"), Path("lake.jpg"))) == ()
    file.check_names([lake, named])
    with pytest.raises(UsageError, match=r"'a/b.png' is none of the photos"):
        file.check_names([lake])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "Invalid JSON"),
        ("[]", ".*object"),
        ({"a.jpg": {}}, "a.jpg: .*array"),
        ({"a.jpg": [{"x": 1, "y": 2}]}, "a.jpg, hint 1, colour: Field required"),
        (
            {"a.jpg": [{"x": 1, "y": "2", "colour": "#ff0000"}]},
            "a.jpg, hint 1, y: must be a number of pixels",
        ),
        ({"a.jpg": [{"x": 1, "y": 2, "colour": "red"}]}, "a.jpg, hint 1, colour: .*pattern"),
        (
            {"a.jpg": [{"x": 1, "y": 2, "colour": "#ff0000", "z": 3}]},
            "a.jpg, hint 1, z: Extra inputs",
        ),
    ],
)
def test_wrong_files_are_one_clear_line(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(ColorizerError, match=rf"hints\.json: {words}") as caught:
        _file(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ColorizerError, match=r"none\.json: cannot be read: No such file"):
        HintsFile(tmp_path / "none.json")


def test_a_hint_colours_its_point_and_fades_with_distance() -> None:
    change = _spread((0.2, 0.2, *RED))
    assert np.abs(change[6, 6] - RED_AB).max() * 128 < 2
    sizes = np.linalg.norm(change, axis=-1)
    assert (np.diff(np.diagonal(sizes)[6:]) < 0).all()
    assert sizes[-1, -1] < 0.05 * sizes.max()
    # As far down as across, on a photo twice as wide as it is high.
    sizes = np.linalg.norm(_spread((0.5, 0.5, *RED), aspect=2.0), axis=-1)
    np.testing.assert_allclose(
        sizes[:, 16], np.interp(np.arange(32) / 2 + 8, np.arange(32), sizes[16]), atol=0.02
    )


def test_colour_stops_at_an_edge() -> None:
    change = np.linalg.norm(_spread((0.45, 0.5, *RED), lightness=_halves()), axis=-1)
    assert change[16, 8] > 5 * change[16, 20]
    level = np.linalg.norm(_spread((0.45, 0.5, *RED)), axis=-1)
    assert level[16, 20] > 0.6 * level.max()


def test_hints_that_say_what_is_predicted_change_nothing() -> None:
    ab = np.tile(np.float32(RED_AB), (SIZE, SIZE, 1))
    given = np.array([(0.3, 0.6, *RED), (0.9, 0.1, *RED)], np.float32)
    np.testing.assert_allclose(with_hints(_halves(), ab, given, 1.0), ab, atol=1e-4)


def test_a_second_hint_holds_its_own_place() -> None:
    gray = (119.0, 119.0, 119.0)
    change = _spread((0.2, 0.5, *RED), (0.8, 0.5, *gray))
    assert np.abs(change[16, 6] - RED_AB).max() * 128 < 2
    assert np.abs(change[16, 25]).max() * 128 < 2
    swapped = _spread((0.8, 0.5, *gray), (0.2, 0.5, *RED))
    np.testing.assert_allclose(change, swapped, atol=1e-5)


def test_hints_in_one_place_give_their_mean() -> None:
    blue = (40.0, 60.0, 200.0)
    blue_ab = rgb2lab(np.array([[blue]]) / 255)[0, 0, 1:] / 128
    change = _spread((0.5, 0.5, *RED), (0.5, 0.5, *blue))
    assert np.abs(change[16, 16] - (RED_AB + blue_ab) / 2).max() * 128 < 2


def test_rows_with_a_negative_x_count_for_nothing() -> None:
    hint = (0.3, 0.6, *RED)
    padded = _spread((-1, -1, 0, 0, 0), hint, (-1, 0.3, *RED), lightness=_halves())
    np.testing.assert_allclose(padded, _spread(hint, lightness=_halves()), atol=1e-6)
    assert (_spread((-1, 0, *RED)) == 0).all() and (_spread() == 0).all()


def test_colours_stay_in_their_range_and_hints_in_their_number() -> None:
    wild = np.random.default_rng(0).uniform(0, 1, (MOST_HINTS, 5)) * (1, 1, 255, 255, 255)
    spread = _spread(*wild)
    assert np.isfinite(spread).all() and np.abs(spread).max() <= 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 500 hints"):
        _spread(*wild, wild[0])


@pytest.mark.parametrize("shape", [(60, 90, 3), (7, 200, 3), (16, 16)])
def test_any_colorizer_takes_hints(shape: tuple[int, ...]) -> None:
    gray = Colorizer(
        lambda seen: np.zeros((*seen.shape[:3], 2), np.float32), SIZE, {"mean_ab": [0, 0]}
    )
    photo = np.full(shape, 120, np.uint8)
    hint = Hint(x=shape[1] // 3, y="50%", colour="#c83c3c")
    painted = gray.colorize(photo, hints=[hint])
    lab = rgb2lab(painted)[shape[0] // 2, shape[1] // 3]
    assert np.abs(lab[1:] - RED_AB * 128).max() < 4
    assert abs(lab[0] - rgb2lab(np.full((1, 1, 3), 120, np.uint8))[0, 0, 0]) < 1
    with pytest.raises(ColorizerError, match="hint 1 at 900, 50% lies outside"):
        gray.colorize(photo, hints=[Hint(x=900, y="50%", colour="#c83c3c")])
    with pytest.raises(ColorizerError, match="501 hints; at most 500"):
        gray.colorize(photo, hints=[hint] * 501)
