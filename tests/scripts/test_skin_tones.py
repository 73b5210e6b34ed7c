"""benchmarks/skin_tones.py on colours whose band and error are known."""

import command_lines  # noqa: F401  (benchmarks can be imported)
import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab
from skin_tones import Skin, band_of, rows, skin_lab


@pytest.mark.parametrize(
    ("lab", "band"),
    [
        ((75.0, 12.0, 18.0), "light"),
        ((63.0, 15.0, 18.0), "intermediate"),
        ((55.0, 15.0, 20.0), "tan"),
        ((50.0, 15.0, 20.0), "brown and dark"),
        ((30.0, 12.0, 15.0), "brown and dark"),
    ],
)
def test_bands_follow_the_typology_angle(lab, band):
    assert band_of(np.array(lab)) == band


def test_skin_is_the_middle_of_the_face():
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[42:58, 30:70] = (200, 150, 130)
    expected = rgb2lab(np.array([200, 150, 130]) / 255)
    assert skin_lab(Image.fromarray(photo)) == pytest.approx(expected, abs=0.01)


def test_rows_tell_errors_and_chroma_of_each_band():
    true = np.array([75.0, 12.0, 16.0], np.float32)
    paler = true * np.array([1, 0.5, 0.5], np.float32)
    skins = [Skin(true, {"faithful": true, "gray": paler})] * 3
    _, _, same, half = rows(skins, ["light", "tan"])
    assert same == "| light | 3, 50% | faithful | 0.0 [0.0, 0.0] | +0.0 [+0.0, +0.0] |"
    assert half.endswith("| -10.0 [-10.0, -10.0] |")
