"""The words after --data that name datasets."""

from pathlib import Path

import pytest

from pipelines.dataset_names import DatasetName, is_dataset, parse_datasets
from pipelines.errors import UsageError


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("tfds:sports100", [DatasetName("sports100")]),
        ("tfds:photo_folder/my-trip:test", [DatasetName("photo_folder/my-trip", "test")]),
        (
            "tfds:imagenet_mini*0.5,tfds:sports100:validation*2,tfds:celeba_hq_256/crop",
            [
                DatasetName("imagenet_mini", None, 0.5),
                DatasetName("sports100", "validation", 2),
                DatasetName("celeba_hq_256/crop"),
            ],
        ),
    ],
)
def test_what_is_understood(words, names):
    assert is_dataset(Path(words))
    assert parse_datasets(Path(words)) == tuple(names)


@pytest.mark.parametrize(
    "words",
    [
        "tfds:",
        "tfds:a,b",
        "tfds:a,",
        "tfds:a*0",
        "tfds:a*1.2.3",
        "tfds:a*-1",
        "tfds:a:b:c",
        "tfds:é",
    ],
)
def test_what_is_not_names_the_part(words):
    with pytest.raises(UsageError, match=r"expected tfds:NAME"):
        parse_datasets(Path(words))


def test_folders_are_no_datasets():
    assert not is_dataset(Path("photos/tfds:a"))
