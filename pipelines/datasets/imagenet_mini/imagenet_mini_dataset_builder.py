"""ImageNet 1000 (mini), the report's photos of objects and scenes."""

from pathlib import PurePosixPath

from pipelines.datasets.photo_builder import PhotoBuilder, Place, drawn_split


class Builder(PhotoBuilder):
    """Photos of 1,000 classes; labels are WordNet ids (n01440764).

    The archive's `val` is parted by file name into two halves, `validation` and `test`.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Kaggle, ifigotin/imagenetmini-1000: imagenetmini-1000.zip, or the folder imagenet-mini unpacked
    from it.
    """
    PLACES = ("imagenetmini-1000.zip", "imagenet-mini")
    HOMEPAGE = "https://www.kaggle.com/datasets/ifigotin/imagenetmini-1000"

    def place_of(self, name: str) -> Place | None:
        """Reads [imagenet-mini/]train/n01440764/n01440764_10026.JPEG."""
        match PurePosixPath(name).parts[-3:]:
            case ("train", label, _):
                return Place("train", label, name)
            case ("val", label, file):
                half = drawn_split(file, {"test": 0.5})
                return Place("test" if half == "test" else "validation", label, name)
        return None
