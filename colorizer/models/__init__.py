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
