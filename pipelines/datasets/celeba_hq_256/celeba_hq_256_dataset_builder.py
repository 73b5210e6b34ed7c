"""CelebA-HQ resized (256 x 256), the report's photos of faces."""

from pathlib import PurePosixPath

from pipelines.datasets.photo_builder import PhotoBuilder, Place, drawn_split


class Builder(PhotoBuilder):
    """Photos of faces, without labels.

    The archive has no splits: a twentieth each, drawn by file name, is `validation` and `test`.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Kaggle, badasstechie/celebahq-resized-256x256: celebahq-resized-256x256.zip, or the folder
    celeba_hq_256 unpacked from it.
    """
    PLACES = ("celebahq-resized-256x256.zip", "celeba_hq_256")
    HOMEPAGE = "https://www.kaggle.com/datasets/badasstechie/celebahq-resized-256x256"

    def place_of(self, name: str) -> Place:
        """Reads [celeba_hq_256/]00000.jpg."""
        split = drawn_split(PurePosixPath(name).name, {"test": 0.05, "validation": 0.05})
        return Place(split, "", name)
