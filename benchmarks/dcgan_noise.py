"""How much the DCGAN's colours change with the photo, and how much with the noise.

    python benchmarks/dcgan_noise.py --model runs/dcgan --data photos/val --sheet noise.png

Prints mean absolute differences of ab in Lab units between two colourings: of one photo with
other noise, and of two photos with the same noise. The sheet has a row for each of a few photos:
gray, the colouring without noise, colourings with noise, true.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from colorizer.command import import_tensorflow, run

DRAWS = 4


@dataclass(frozen=True)
class Arguments:
    """What to measure on what."""

    model: Path
    """Run folder of a DCGAN."""
    data: Path
    """Folder of photos."""
    limit: int = 200
    """Look at so many files at most, evenly spaced."""
    sheet: Path | None = None
    """Write a PNG of a few photos with several noises."""
    seed: int = 0
    """Seed of the noise."""


def main() -> None:
    """Runs the measurement."""
    run(lambda: measure(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def measure(arguments: Arguments) -> None:
    """Prints the differences, and writes the sheet where one is asked for."""
    import_tensorflow()
    import keras
    import numpy as np

    from colorizer.models.dcgan import split_dcgan_generator
    from pipelines.batches import evaluation_batches
    from pipelines.color import AB_RANGE
    from pipelines.preparation import prepare_photos

    generator = keras.models.load_model(
        arguments.model / "model.keras", compile=False, safe_mode=True
    )
    processor, grower = split_dcgan_generator(generator)
    stddev = generator.get_layer("latent").stddev
    prepared = prepare_photos(
        arguments.data, image_size=generator.input_shape[1], limit=arguments.limit
    )
    random = np.random.default_rng(arguments.seed)
    over_noise: list[float] = []
    over_photos: list[float] = []
    for lightness, _ in evaluation_batches(prepared, 16).as_numpy_iterator():
        vector = np.asarray(processor(lightness, training=False))
        noise = stddev * random.standard_normal((2, *vector.shape)).astype(np.float32)
        first, second = (np.asarray(grower(vector + each, training=False)) for each in noise)
        same = np.asarray(grower(vector + noise[0, :1], training=False))
        over_noise += _distances(first, second, AB_RANGE)
        over_photos += _distances(same[1:], same[:-1], AB_RANGE)
    print(f"{len(prepared)} photos, noise of standard deviation {stddev:g}, Lab units of ab:")
    print(f"one photo, other noise: {np.mean(over_noise):.2f}")
    print(f"other photo, same noise: {np.mean(over_photos):.2f}")
    if arguments.sheet is not None:
        _write_sheet(arguments.sheet, prepared.evenly_spaced(8), processor, grower, stddev, random)


def _distances(one: Any, two: Any, scale: float) -> list[float]:
    return (scale * abs(one - two).mean(axis=(1, 2, 3))).tolist()


def _write_sheet(
    path: Path, prepared: Any, processor: Any, grower: Any, stddev: float, random: Any
) -> None:
    import numpy as np

    from colorizer.training.pictures import save_picture
    from pipelines.batches import evaluation_batches
    from pipelines.color import lightness_ab_to_rgb

    lightness, ab = next(evaluation_batches(prepared, len(prepared)).as_numpy_iterator())
    vector = np.asarray(processor(lightness, training=False))
    noises = [0.0, *(stddev * random.standard_normal((DRAWS, *vector.shape)))]
    drawn = [np.asarray(grower(np.float32(vector + noise), training=False)) for noise in noises]
    columns = [
        np.asarray(lightness_ab_to_rgb(lightness, shown))
        for shown in (np.zeros_like(ab), *drawn, ab)
    ]
    rows = np.concatenate(columns, axis=2)
    save_picture(path, np.rint(255 * np.concatenate(list(rows), axis=0)).astype(np.uint8))


if __name__ == "__main__":
    main()
