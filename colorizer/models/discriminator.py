"""What every discriminator of the project reads and gives."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

Tensor = Any


def discriminator_inputs(image_size: int) -> tuple[dict[str, Tensor], Tensor]:
    """Makes the inputs of a discriminator.

    Returns:
        `lightness` (N, S, S, 1) and `ab` (N, S, S, 2), by these names; and both as one picture
        of three channels (N, S, S, 3), the lightness first.
    """
    lightness = keras.Input((image_size, image_size, 1), name="lightness")
    ab = keras.Input((image_size, image_size, 2), name="ab")
    picture = layers.Concatenate(name="picture")([lightness, ab])
    return {"lightness": lightness, "ab": ab}, picture


def discriminator_model(
    inputs: dict[str, Tensor], features: Sequence[Tensor], logits: Tensor, name: str
) -> keras.Model:
    """Makes the functional model of a discriminator.

    Args:
        inputs: those of `discriminator_inputs`.
        features: activations after each hidden block, first block first.
        logits: the unbounded scores, float32; higher means more likely real.
        name: name of the model.

    Returns:
        Model from {"lightness", "ab"} to a dictionary: `logits`; `probability`, their sigmoid in
        float32, P(real), for people to read (losses take the logits, which do not saturate); and
        `feature_1`, `feature_2`, ..., for feature matching.
    """
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(logits)
    outputs = {"logits": logits, "probability": probability}
    outputs |= {f"feature_{number}": x for number, x in enumerate(features, start=1)}
    return keras.Model(inputs, outputs, name=name)
