"""The networks, one module each, and `build` to make one by its name."""

from typing import Any

import keras

from colorizer.models.cnn import build_cnn

_BUILDERS = {"cnn": build_cnn}


def build(name: str, **arguments: Any) -> keras.Model:
    """Builds a network by its name from its builder's keyword arguments.

    Raises:
        ValueError: no network has that name.
    """
    if name not in _BUILDERS:
        raise ValueError(f"no model {name!r}; there are {', '.join(_BUILDERS)}")
    return _BUILDERS[name](**arguments)
