"""What colour hints are worth: PSNR and CIE76 against their number.

    python benchmarks/colour_hints.py --data photos/val

Hints are drawn at random pixels, with the colours of the true photo. Beside the spreading of
`colorizer.guidance.propagation` stand two simpler ways: the hints' mean error added to the whole
prediction, and the same spreading over a gray photo, without any network. Then each photo gets one
hint in a colour of no photo, a random hue of chroma 60: how near the colour comes at the hint, and
how much far away changes.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from true_photos import painted_psnr, true_photos

from colorizer.command import import_tensorflow, run

if TYPE_CHECKING:
    import numpy as np

    from colorizer.guidance.hints import Hint
    from colorizer.inference import Colorizer

CHROMA = 60.0


@dataclass(frozen=True)
class Arguments:
    """What to measure on what."""

    data: Path
    """Folder of photos."""
    model: Path | None = None
    """Run or export. Left out: the weights that ship with the package."""
    style: str | None = None
    """For models that know both."""
    counts: tuple[int, ...] = (0, 1, 3, 10, 30, 100)
    """Numbers of hints."""
    limit: int = 100
    """Look at so many files at most, evenly spaced."""
    seed: int = 0
    """Of the places of the hints."""


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
    ways: dict[str, Callable[..., Any]] = {
        "spread": model.with_hints,
        "mean error everywhere": lambda *given: _shifted(model, *given),
        "spread, no network": lambda photo, ab, hints: model.with_hints(photo, 0 * ab, hints),
    }
    print(f"{len(photos)} photos, PSNR (dB) / CIE76")
    print("| hints | " + " | ".join(ways) + " |")
    print("| ---: |" + " ---: |" * len(ways))
    predicted = [model.predict_photos([photo])[0] for photo in photos]
    for count in arguments.counts:
        random = np.random.default_rng(arguments.seed)
        drawn = [_true_hints(photo, count, random) for photo in photos]
        cells = []
        for way in ways.values():
            scores = [
                _scores(model, photo, way(photo, ab, hints))
                for photo, ab, hints in zip(photos, predicted, drawn, strict=True)
            ]
            cells.append("{:.2f} / {:.2f}".format(*np.mean(scores, axis=0)))
        print(f"| {count} | {' | '.join(cells)} |", flush=True)
    random = np.random.default_rng(arguments.seed)
    told = [_wished(model, photo, ab, random) for photo, ab in zip(photos, predicted, strict=True)]
    missed, far = (np.array([pair[part] for pair in told]) for part in (0, 1))
    print(
        f"a wished colour: ab at the hint off by {np.median(missed):.2f} (median), "
        f"{np.percentile(missed, 95):.2f} (95 %); further than half a side away "
        f"{np.mean(far):.1%} of the change at the hint"
    )


def _true_hints(photo: "np.ndarray", count: int, random: Any) -> "list[Hint]":
    from colorizer.guidance.hints import Hint

    places = random.integers(0, photo.shape[0], (count, 2)).tolist()
    return [Hint(x=x, y=y, colour="#" + photo[y, x].tobytes().hex()) for x, y in places]


def _shifted(
    model: "Colorizer", photo: "np.ndarray", ab: "np.ndarray", hints: "Sequence[Hint]"
) -> "np.ndarray":
    """Adds the mean of what the prediction lacks at the hints to all of it."""
    import numpy as np

    if not hints:
        return ab
    rows, columns = ([int(place) for place in axis] for axis in zip(*_places(hints), strict=True))
    true = _ab(photo)[rows, columns]
    moved: np.ndarray = ab + (true - ab[rows, columns]).mean(axis=0)
    return moved


def _places(hints: "Sequence[Hint]") -> list[tuple[Any, Any]]:
    return [(hint.y, hint.x) for hint in hints]


def _scores(model: "Colorizer", photo: "np.ndarray", ab: "np.ndarray") -> tuple[float, float]:
    import numpy as np

    return painted_psnr(model, photo, ab), float(
        128 * np.linalg.norm(_ab(photo) - ab, axis=-1).mean()
    )


def _wished(
    model: "Colorizer", photo: "np.ndarray", ab: "np.ndarray", random: Any
) -> tuple[float, float]:
    """Gives how far ab is off at the hint, in Lab, and far away's share of the change there."""
    import numpy as np

    from colorizer.guidance.hints import Hint
    from pipelines.color import lab_to_rgb

    size, angle = photo.shape[0], random.uniform(0, 2 * np.pi)
    x, y = random.integers(0, size, 2).tolist()
    lab = np.array([[60.0, CHROMA * np.cos(angle), CHROMA * np.sin(angle)]])
    colour = np.rint(255 * np.asarray(lab_to_rgb(lab))).astype(np.uint8)
    changed = model.with_hints(photo, ab, [Hint(x=x, y=y, colour="#" + colour.tobytes().hex())])
    wanted = _ab(colour[None])[0, 0]
    change = np.linalg.norm(changed - ab, axis=-1)
    rows, columns = np.mgrid[:size, :size]
    far = np.hypot(rows - y, columns - x) > size / 2
    missed = 128 * float(np.linalg.norm(changed[y, x] - wanted))
    return missed, float(change[far].mean() / change[y, x])


def _ab(photo: "np.ndarray") -> "np.ndarray":
    import numpy as np

    from pipelines.color import rgb_to_lightness_ab

    return np.asarray(rgb_to_lightness_ab(photo.astype(np.float32) / 255)[1])


if __name__ == "__main__":
    main()
