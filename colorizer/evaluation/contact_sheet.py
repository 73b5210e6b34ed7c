"""The contact sheet: gray | predicted | other models | true of a few photos, with figures."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from colorizer.evaluation.evaluation import Evaluation
from colorizer.evaluation.results import Setting
from colorizer.evaluation.sheet_photos import SheetPhoto
from colorizer.files import replacing

_COLUMNS = 2
_MARGIN = 12
_GAP = 4
_TEXT = 13
_LINE = 19
_SMALLEST = 192
_INK = (24, 24, 24)
_FAINT = (110, 110, 110)
_PAPER = (255, 255, 255)
_TITLES = {"gray": "gray", "model": "predicted", "truth": "true"}


def write_contact_sheet(path: Path, evaluation: Evaluation, setting: Setting) -> None:
    """Writes the sheet as PNG, whole or not at all.

    It shows evenly spaced photos, the best and the worst by the model's PSNR, and says of each
    which it is. Pictures are shown as the metrics saw them: square, at the network's size (small
    ones enlarged by a whole factor).
    """
    sheet = draw_contact_sheet(evaluation, setting)
    with replacing(path) as beside:
        sheet.save(beside, format="PNG")


def draw_contact_sheet(evaluation: Evaluation, setting: Setting) -> Image.Image:
    """Draws what `write_contact_sheet` writes."""
    scale = -(-_SMALLEST // setting.image_size)
    side = scale * setting.image_size
    photos = evaluation.sheet_photos
    across = len(photos[0].pictures)
    width, height = across * (side + _GAP) - _GAP, 3 * _LINE + side + _MARGIN
    columns = min(_COLUMNS, len(photos))
    rows = -(-len(photos) // columns)
    header = _header(evaluation, setting)
    top = _MARGIN + _LINE * len(header) + _MARGIN
    sheet = Image.new(
        "RGB", (columns * (width + _MARGIN) + _MARGIN, top + rows * (height + _MARGIN)), _PAPER
    )
    _write(sheet, (_MARGIN, _MARGIN), header, sheet.width - 2 * _MARGIN)
    for place, photo in enumerate(photos):
        left = _MARGIN + place // rows * (width + _MARGIN)
        upper = top + place % rows * (height + _MARGIN)
        captions = _captions(photo, evaluation, setting)
        _write(sheet, (left, upper), captions, width)
        _draw_pictures(sheet, (left, upper + len(captions) * _LINE), photo, side)
    return sheet


def _header(evaluation: Evaluation, setting: Setting) -> list[str]:
    model, gray = evaluation.means("model"), evaluation.means("gray")
    spaced = sum("evenly spaced" in photo.why for photo in evaluation.sheet_photos)
    return [
        f"{setting.model} on {setting.data}, {len(evaluation.photos)} photos",
        f"mean PSNR {model['psnr']:.2f} dB (gray {gray['psnr']:.2f}), "
        f"CIE76 {model['delta_e_76']:.2f} (gray {gray['delta_e_76']:.2f})",
        f"shown: {spaced} evenly spaced whatever their quality, the best and the worst by PSNR",
    ]


def _captions(photo: SheetPhoto, evaluation: Evaluation, setting: Setting) -> list[str]:
    model, gray = (
        {metric: evaluation.values[name][metric][photo.index] for metric in ("psnr", "delta_e_76")}
        for name in ("model", "gray")
    )
    return [
        f"{', '.join(photo.why)}: {setting.name(evaluation.photos[photo.index])}",
        f"PSNR {model['psnr']:.2f} dB (gray {gray['psnr']:.2f}), "
        f"CIE76 {model['delta_e_76']:.2f} (gray {gray['delta_e_76']:.2f})",
    ]


def _draw_pictures(
    sheet: Image.Image, corner: tuple[int, int], photo: SheetPhoto, side: int
) -> None:
    left, upper = corner
    for name, picture in photo.pictures.items():
        image = Image.fromarray(picture)
        sheet.paste(image.resize((side, side), Image.Resampling.NEAREST), (left, upper))
        _write(sheet, (left, upper + side), [_TITLES.get(name, name)], side, _FAINT)
        left += side + _GAP


def _write(
    sheet: Image.Image,
    corner: tuple[int, int],
    lines: Sequence[str],
    width: int,
    ink: tuple[int, int, int] = _INK,
) -> None:
    draw = ImageDraw.Draw(sheet)
    # matplotlib carries DejaVu Sans, which has the letters that file names are written in.
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(str(fonts / "DejaVuSans.ttf"), _TEXT)
    for row, line in enumerate(lines):
        draw.text((corner[0], corner[1] + row * _LINE), _fitted(line, font, width), ink, font)


def _fitted(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Shortens a line in its middle until it fits."""
    cut = 0
    fitted = line
    while font.getlength(fitted) > width and cut < len(line):
        cut += 1
        keep = len(line) - cut
        fitted = f"{line[: keep - keep // 2]}…{line[len(line) - keep // 2 :]}"
    return fitted
