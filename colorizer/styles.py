"""The two answers of a network of colour classes: faithful and vivid."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras

from colorizer.ab_classes import rebalancing
from colorizer.models.lite_unet import predicts_classes, with_annealed_mean
from pipelines.errors import UsageError


class Style(NamedTuple):
    """How ab is read from the probabilities of the classes.

    Attributes:
        temperature: of the annealed mean.
        rebalancing: how far the classes' own shares are taken out, 0 to 1.
    """

    temperature: float
    rebalancing: float


# Chosen on validation photos by benchmarks/vivid_style.py.
STYLES = {"faithful": Style(0.7, 0.0), "vivid": Style(0.38, 0.9)}
DEFAULT_STYLE = "faithful"


def in_styles(network: keras.Model, statistics: Mapping[str, Any]) -> dict[str, keras.Model]:
    """Gives the network in each of `STYLES`; nothing for a network that has one style only.

    Args:
        network: from lightness to ab.
        statistics: of its run; "class_shares" is needed for the vivid style.
    """
    shares = statistics.get("class_shares")
    if not predicts_classes(network) or shares is None:
        return {}
    return {
        name: with_annealed_mean(network, style.temperature, rebalancing(shares, style.rebalancing))
        for name, style in STYLES.items()
    }


def in_style(
    network: keras.Model, statistics: Mapping[str, Any], style: str | None, title: str
) -> keras.Model:
    """Gives the network in `style`; None: in its usual one.

    Raises:
        UsageError: a style is asked for, and the network has one only.
    """
    known = in_styles(network, statistics)
    if style is not None and style not in known:
        raise one_style_only(style, title)
    return known.get(style or DEFAULT_STYLE, network)


def one_style_only(style: str, title: str) -> UsageError:
    """The error of a model that is asked for `style` and has one style only."""
    names = " and ".join(STYLES)
    return UsageError(
        f"--style {style}: {title} has one style only and not both {names}: leave --style out"
    )
