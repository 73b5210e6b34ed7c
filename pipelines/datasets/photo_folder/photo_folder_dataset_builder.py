"""Any tree of photos as a dataset."""

from pathlib import Path

from pipelines.datasets.photo_builder import PhotoBuilder, Place, drawn_split
from pipelines.datasets.photo_sources import FolderSource, PhotoSource
from pipelines.errors import NoPhotosError

_SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


class Builder(PhotoBuilder):
    """The photos in `manual_dir`; labels are the folders that they lie in.

    Splits are its folders train, val (valid, validation) and test. Where it has none of them, a
    tenth each, drawn by file name, is `validation` and `test`. A config of another name keeps
    several folders apart: `PhotoConfig(name="holidays")` becomes `photo_folder/holidays`.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    A folder of .jpg and .jpeg files, in any tree.
    """
    _has_splits = False

    def _source(self, manual_dir: Path) -> PhotoSource:
        source = FolderSource(manual_dir)
        if not source.names:
            raise NoPhotosError(f"{manual_dir}: holds no .jpg or .jpeg file")
        self._has_splits = any(name.partition("/")[0] in _SPLITS for name in source.names)
        return source

    def place_of(self, name: str) -> Place | None:
        """Reads [train/]any/tree/photo.jpg."""
        first, _, rest = name.partition("/")
        if not self._has_splits:
            split = drawn_split(name, {"test": 0.1, "validation": 0.1})
        elif first in _SPLITS:
            split, name = _SPLITS[first], rest
        else:
            return None
        folder, _, _ = name.rpartition("/")
        return Place(split, folder, name)
