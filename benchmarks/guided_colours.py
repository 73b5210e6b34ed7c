"""What palettes and samples do to the colours, on validation photos.

    python benchmarks/guided_colours.py --data photos/val --sheet guided.png

Palettes: of the true photo itself, the best reference there could be, and of another photo of the
set; PSNR, and how far the colours lie from the reference's (sliced Wasserstein distance of ab, in
Lab units). Once with the classes of the network, where it has any, and once by moving ab, as for
networks without. Samples: PSNR of each and of the best, and how far two of a photo lie apart (mean
distance of ab, in Lab units). The sheet has a row for each of some photos: reference, usual
colours, by classes, by moving ab, samples, true.
"""

import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from true_photos import painted_psnr, true_photos

from colorizer.command import import_tensorflow, run

if TYPE_CHECKING:
    import numpy as np

    from colorizer.inference import Colorizer

DIRECTIONS = 8
SHEET_ROWS = 10


@dataclass(frozen=True)
class Arguments:
    """What to measure on what."""

    data: Path
    """Folder of photos."""
    model: Path | None = None
    """Run or export. Left out: the weights that ship with the package."""
    style: str | None = None
    """For models that know both."""
    samples: int = 4
    """So many of each photo; 0 for models that do not sample."""
    limit: int = 100
    """Look at so many files at most, evenly spaced."""
    sheet: Path | None = None
    """Write a PNG of some photos."""


def main() -> None:
    """Runs the measurement."""
    run(lambda: measure(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def measure(arguments: Arguments) -> None:
    """Prints the tables."""
    import_tensorflow()
    import numpy as np

    from colorizer.inference import load

    model = load(arguments.model).styled(arguments.style)
    photos = true_photos(arguments.data, model.image_size, arguments.limit)
    others = [*photos[1:], photos[0]]
    usual = [model.predict_photos([photo])[0] for photo in photos]
    print(f"{len(photos)} photos")
    print("| palette of | way | PSNR (dB) | distance from the palette |")
    print("| --- | --- | ---: | ---: |")
    for title, references in (("the true photo", photos), ("another photo", others)):
        for way in ("none", "the model's", "moving ab"):
            ab = [
                _guided(model, way, *each) for each in zip(photos, references, usual, strict=True)
            ]
            decibels = np.mean(
                [painted_psnr(model, *pair) for pair in zip(photos, ab, strict=True)]
            )
            apart = np.mean([_distance(*pair) for pair in zip(ab, references, strict=True)])
            print(f"| {title} | {way} | {decibels:.2f} | {apart:.2f} |", flush=True)
    samplers = [model.guided(seed=seed) for seed in range(arguments.samples)]
    if samplers:
        _measure_samples(model, samplers, photos)
    if arguments.sheet is not None:
        _write_sheet(arguments.sheet, model, samplers[:3], photos, others)


def _guided(
    model: "Colorizer", way: str, photo: "np.ndarray", reference: "np.ndarray", usual: "np.ndarray"
) -> "np.ndarray":
    from colorizer.guidance.palette import Palette, transferred

    if way == "none":
        return usual
    palette = Palette.of(reference)
    if way == "moving ab":
        return transferred(usual[None], palette)[0]
    ab: np.ndarray = model.guided(palette=palette).predict_photos([photo])[0]
    return ab


def _distance(ab: "np.ndarray", reference: "np.ndarray") -> float:
    """The sliced Wasserstein distance of order 1 of two photos' ab, in Lab units."""
    import numpy as np

    from pipelines.color import AB_RANGE, rgb_to_lightness_ab

    _, true = rgb_to_lightness_ab(reference.astype(np.float32) / 255)
    angles = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    directions = AB_RANGE * np.stack([np.cos(angles), np.sin(angles)])
    one, other = (
        np.sort(np.asarray(part).reshape(-1, 2) @ directions, axis=0) for part in (ab, true)
    )
    return float(np.abs(one - other).mean())


def _measure_samples(
    model: "Colorizer", samplers: "list[Colorizer]", photos: "list[np.ndarray]"
) -> None:
    import numpy as np

    from pipelines.color import AB_RANGE

    decibels, apart = [], []
    for photo in photos:
        drawn = [sampler.predict_photos([photo])[0] for sampler in samplers]
        decibels.append([painted_psnr(model, photo, ab) for ab in drawn])
        differences = [one - other for one, other in combinations(drawn, 2)]
        apart += [AB_RANGE * np.linalg.norm(each, axis=-1).mean() for each in differences]
    print(
        f"{len(samplers)} samples: PSNR {np.mean(decibels):.2f} dB each, "
        f"{np.max(decibels, axis=1).mean():.2f} dB the best, {np.mean(apart):.2f} Lab units apart"
    )


def _write_sheet(
    path: Path,
    model: "Colorizer",
    samplers: "list[Colorizer]",
    photos: "list[np.ndarray]",
    others: "list[np.ndarray]",
) -> None:
    import numpy as np

    from colorizer.training.pictures import save_picture

    rows: list[Any] = []
    step = max(1, len(photos) // SHEET_ROWS)
    for photo, reference in list(zip(photos, others, strict=True))[::step]:
        usual = model.predict_photos([photo])[0]
        ab = [_guided(model, way, photo, reference, usual) for way in ("the model's", "moving ab")]
        ab += [sampler.predict_photos([photo])[0] for sampler in samplers]
        painted = [model.paint(photo, each) for each in (usual, *ab)]
        rows.append(np.concatenate([reference, *painted, photo], axis=1))
    save_picture(path, np.concatenate(rows))


if __name__ == "__main__":
    main()
