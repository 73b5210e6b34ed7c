"""PyTorch's usual way from a folder of JPEG files to batches: Dataset, transforms, DataLoader.

The transforms are those that torchvision gives for Pillow pictures (Resize, RandomHorizontalFlip,
ToTensor), written out because torchvision need not be there, then Lab as kornia writes it, in
float32 on planes.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from pipelines.color import (
    AB_RANGE,
    LAB_EPSILON,
    LAB_KAPPA,
    LAB_OFFSET,
    LIGHTNESS_HALF_RANGE,
    SRGB_KNEE,
    WHITE_D65,
    XYZ_FROM_RGB,
)

_MIX = torch.tensor(XYZ_FROM_RGB / WHITE_D65[:, None], dtype=torch.float32)


class Photos(torch.utils.data.Dataset):
    """Lightness (1, S, S) and ab (2, S, S) of photos, float32 in [-1, 1], flipped at random."""

    def __init__(self, files: list[Path], image_size: int) -> None:
        self._files = files
        self._size = (image_size, image_size)

    def __len__(self) -> int:
        """The number of photos."""
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Reads one photo."""
        with Image.open(self._files[index]) as image:
            picture = ImageOps.exif_transpose(image).convert("RGB")
        picture = picture.resize(self._size, Image.Resampling.BILINEAR)
        if torch.rand(1).item() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        rgb = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255.0)
        lab = rgb_to_lab(rgb)
        return lab[:1] / LIGHTNESS_HALF_RANGE - 1.0, lab[1:] / AB_RANGE


def rgb_to_lab(rgb: Any) -> Any:
    """Converts sRGB (3, H, W), float32 in [0, 1], to CIE Lab."""
    linear = torch.where(rgb > SRGB_KNEE, ((rgb + 0.055) / 1.055).pow(2.4), rgb / 12.92)
    xyz = torch.tensordot(_MIX, linear, dims=1)
    f = torch.where(
        xyz > LAB_EPSILON,
        xyz.clamp(min=LAB_EPSILON).pow(1.0 / 3.0),
        LAB_KAPPA * xyz + LAB_OFFSET,
    )
    x, y, z = f
    return torch.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)])


def images_per_second(files: list[Path], image_size: int, batch_size: int, workers: int) -> float:
    """Reads two shuffled epochs and times the second: by then the workers have started."""
    loader = torch.utils.data.DataLoader(
        Photos(files, image_size),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=True,
    )
    for _ in range(2):
        started = time.perf_counter()
        images = sum(len(lightness) for lightness, _ in loader)
        seconds = time.perf_counter() - started
    return images / seconds
