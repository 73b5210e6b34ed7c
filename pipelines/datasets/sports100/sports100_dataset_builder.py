"""100 Sports Image Classification, the report's photos of sports."""

from pathlib import PurePosixPath

from pipelines.datasets.photo_builder import PhotoBuilder, Place

_SPLITS = {"train": "train", "valid": "validation", "test": "test"}


class Builder(PhotoBuilder):
    """Photos of 224x224 of 100 sports; labels are the folders' names (air hockey)."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Kaggle, gpiosenka/sports-classification: sports-classification.zip, or a folder
    sports-classification with train, valid and test unpacked from it.
    """
    PLACES = ("sports-classification.zip", "sports-classification")
    HOMEPAGE = "https://www.kaggle.com/datasets/gpiosenka/sports-classification"

    def place_of(self, name: str) -> Place | None:
        """Reads [sports/]train/air hockey/001.jpg."""
        match PurePosixPath(name).parts[-3:]:
            case (folder, label, _) if folder in _SPLITS:
                return Place(_SPLITS[folder], label, name)
        return None
