"""Photos a second of `colorize`, whose stages overlap, beside a plain loop over the same stages.

    python benchmarks/colorize_overlap.py --photos photos/test

Photos are collages of 48 photos of a folder, enlarged to the size asked for: anybody can make them.
The plain loop reads a photo, predicts and paints it, writes it, then takes the next, with the same
functions. Each way runs in a process of its own, in turn; the time that the loop takes for no photo
at all (loading TensorFlow and the model) is taken off both.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import tyro
from machine import describe_machine
from measure import Figures
from measure import measure as measure_command
from PIL import Image
from step_sides import available_cores

from colorizer.command import note, run

COLUMNS, ROWS = 8, 6
# Different ones; the rest are links to them, each of which is read and written on its own.
DIFFERENT = 20


@dataclass(frozen=True)
class Arguments:
    """What to colour."""

    photos: Path
    """Folder of photos to make collages of."""
    count: int = 200
    """Large photos to colour."""
    megapixels: float = 12.0
    """Their size."""
    formats: tuple[Literal["png", "jpg"], ...] = ("png", "jpg")
    """What to write."""
    rounds: int = 1
    """Times that each way is measured; the median counts."""


def main() -> None:
    """Runs the measurement, or, in a process of its own, the plain loop."""
    if sys.argv[1:2] == ["--plain-loop"]:
        source, target, suffix = sys.argv[2:5]
        run(lambda: plain_loop(Path(source), Path(target), suffix))
    run(lambda: measure(tyro.cli(Arguments, description=__doc__, args=sys.argv[1:])))


def measure(arguments: Arguments) -> None:
    """Prints photos a second, start-up taken off, and peak memory."""
    print(f"{describe_machine()}; {available_cores()} cores")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_collages(arguments, folder / "large")
        (folder / "none").mkdir()
        for suffix in arguments.formats:
            plain = (sys.executable, __file__, "--plain-loop")
            colorize = (sys.executable, "-m", "colorizer.colorize", "--format", suffix)
            starting = measure_command((*plain, folder / "none", folder / "out", suffix)).wall
            ways: dict[str, list[Figures]] = {"plain loop": [], "colorize": []}
            for _ in range(arguments.rounds):
                ways["plain loop"].append(
                    measure_command((*plain, folder / "large", folder / "plain", suffix))
                )
                ways["colorize"].append(
                    measure_command((*colorize, folder / "large", "--output", folder / "out"))
                )
            note(f"{suffix}: loading takes {starting:.1f} s")
            rates = {}
            for way, figures in ways.items():
                seconds = median(one.wall for one in figures) - starting
                rates[way] = arguments.count / seconds
                memory = max(one.memory for one in figures)
                print(f"{suffix}, {way}: {rates[way]:.2f} photos/s, {memory:.2f} GiB", flush=True)
            print(f"{suffix}: {rates['colorize'] / rates['plain loop']:.2f} times the plain loop")


def make_collages(arguments: Arguments, folder: Path) -> None:
    """Writes the large photos."""
    from pipelines.preparation import choose_jpegs

    folder.mkdir()
    side = round((arguments.megapixels * 1e6 / (COLUMNS * ROWS)) ** 0.5)
    small = choose_jpegs(arguments.photos, DIFFERENT * COLUMNS * ROWS)
    different = min(DIFFERENT, arguments.count)
    for number in range(arguments.count):
        path = folder / f"{number:05}.jpg"
        if number >= different:
            path.hardlink_to(folder / f"{number % different:05}.jpg")
            continue
        collage = Image.new("RGB", (COLUMNS * side, ROWS * side))
        for place in range(COLUMNS * ROWS):
            with Image.open(small[(number + different * place) % len(small)]) as photo:
                tile = photo.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
            collage.paste(tile, (place % COLUMNS * side, place // COLUMNS * side))
        collage.save(path, quality=92)


def plain_loop(source: Path, target: Path, suffix: str) -> None:
    """Colours the photos of a folder one by one."""
    import colorizer
    from colorizer.images.reading import read_photo
    from colorizer.images.writing import write_photo

    model = colorizer.load()
    for path in sorted(source.iterdir()):
        photo = read_photo(path)
        painted = model.colorize(photo.image)
        write_photo(painted, target / f"{path.stem}.{suffix}")


if __name__ == "__main__":
    main()
