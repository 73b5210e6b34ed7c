"""PSNR, colourfulness and KID of a network of colour classes, read in many ways.

    python benchmarks/vivid_style.py --data photos/val [--model runs/lite]

A row for each temperature of the annealed mean and each strength of rebalancing. What
`colorizer.styles` holds was chosen so, on validation photos.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from colorizer.command import import_tensorflow, run
from pipelines.errors import ColorizerError


@dataclass(frozen=True)
class Arguments:
    """What to read how, on what."""

    data: Path
    """Folder of photos to choose on."""
    model: Path | None = None
    """Run folder. Left out: the weights that ship with the package."""
    temperatures: tuple[float, ...] = (1.0, 0.6, 0.4)
    """Of the annealed mean."""
    rebalancing: tuple[float, ...] = (0.0, 0.3, 0.6, 0.9)
    """How far the classes' shares are taken out."""
    limit: int | None = None
    """Look at so many files at most, evenly spaced."""


def main() -> None:
    """Runs the measurement."""
    run(lambda: measure(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def measure(arguments: Arguments) -> None:
    """Prints the table.

    Raises:
        ColorizerError: the network predicts no classes.
    """
    import_tensorflow()
    import json

    import keras

    from colorizer.ab_classes import rebalancing
    from colorizer.evaluation.quick_scores import QuickScorer
    from colorizer.models import network_size
    from colorizer.models.lite_unet import predicts_classes, with_annealed_mean
    from colorizer.pretrained.image_features import ImageFeatures
    from colorizer.shipped import load_shipped
    from pipelines.preparation import prepare_photos

    if arguments.model is None:
        network, statistics = load_shipped()
    else:
        network = keras.models.load_model(
            arguments.model / "model.keras", compile=False, safe_mode=True
        )
        statistics = json.loads((arguments.model / "statistics.json").read_text())
    if not predicts_classes(network):
        raise ColorizerError(f"{arguments.model}: predicts no classes of colours")
    size = network_size(network)
    prepared = prepare_photos(arguments.data, image_size=size, limit=arguments.limit)
    score = QuickScorer(prepared, ImageFeatures())
    print("| temperature | rebalancing | PSNR (gray) | colourfulness (true) | KID x1000 (gray) |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for temperature in arguments.temperatures:
        for strength in arguments.rebalancing:
            offsets = rebalancing(statistics["class_shares"], strength)
            styled = with_annealed_mean(network, temperature, offsets)
            row = score(_predictor(styled))
            print(
                f"| {temperature:g} | {strength:g} | {row['psnr']:.2f} ({row['psnr_gray']:.2f})"
                f" | {row['colourfulness']:.1f} ({row['colourfulness_truth']:.1f})"
                f" | {1000 * row['kid']:.2f} ({1000 * row['kid_gray']:.1f}) |",
                flush=True,
            )


def _predictor(network: Any) -> Any:
    import tensorflow as tf

    predict = tf.function(lambda lightness: network(lightness, training=False))
    return lambda lightness: predict(lightness).numpy()


if __name__ == "__main__":
    main()
