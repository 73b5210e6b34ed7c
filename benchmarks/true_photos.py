"""What benchmarks of guided colours share: true photos at the network's size, and PSNR to them."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from colorizer.inference import Colorizer


def true_photos(data: Path, size: int, limit: int) -> "list[np.ndarray]":
    """Reads at most `limit` colour photos of a folder: uint8 (size, size, 3) each."""
    import numpy as np

    from colorizer.evaluation.predictions import rgb8
    from colorizer.metrics.encoded_pictures import encode
    from pipelines.batches import evaluation_batches
    from pipelines.preparation import prepare_photos

    prepared = prepare_photos(data, image_size=size, limit=limit)
    batches = evaluation_batches(prepared, 16).as_numpy_iterator()
    return [photo for batch in batches for photo in np.asarray(rgb8(encode(*batch)))]


def painted_psnr(model: "Colorizer", photo: "np.ndarray", ab: "np.ndarray") -> float:
    """PSNR, in dB, of the photo painted with `ab` beside itself."""
    import numpy as np

    from colorizer.metrics.psnr import psnr

    return float(np.asarray(psnr(photo[None], model.paint(photo, ab)[None]))[0])
