"""The networks, one module each, and `build` to make one by its name."""

from typing import Any

import keras

from colorizer.models.cnn import build_cnn
from colorizer.models.dcgan import build_dcgan_discriminator, build_dcgan_generator
from colorizer.models.lite_unet import build_lite_unet
from colorizer.models.patchgan import build_patchgan_discriminator
from colorizer.models.unet import build_unet

_BUILDERS = {
    "cnn": build_cnn,
    "dcgan": build_dcgan_generator,
    "lite": build_lite_unet,
    "unet": build_unet,
}
_DISCRIMINATORS = {"dcgan": build_dcgan_discriminator, "patch": build_patchgan_discriminator}


def build(name: str, **arguments: Any) -> keras.Model:
    """Builds a colorizing network by its name from its builder's keyword arguments.

    Raises:
        ValueError: no network has that name.
    """
    return _by_name("model", _BUILDERS, name)(**arguments)


def build_discriminator(name: str, **arguments: Any) -> keras.Model:
    """Builds a discriminator by its name from its builder's keyword arguments.

    Raises:
        ValueError: no discriminator has that name.
    """
    return _by_name("discriminator", _DISCRIMINATORS, name)(**arguments)


def _by_name(kind: str, builders: dict[str, Any], name: str) -> Any:
    if name not in builders:
        raise ValueError(f"no {kind} {name!r}; there are {', '.join(builders)}")
    return builders[name]


def network_size(model: keras.Model) -> int:
    """Returns S of a network that maps (N, S, S, 1) to (N, S, S, 2).

    Raises:
        ValueError: the model is not such a network.
    """
    seen, given = tuple(model.input_shape), tuple(model.output_shape)
    size = seen[1] if len(seen) == 4 else None
    if size is None or seen[1:] != (size, size, 1) or given[1:] != (size, size, 2):
        raise ValueError(f"a colorizer maps (N, S, S, 1) to (N, S, S, 2), not {seen} to {given}")
    return int(size)
