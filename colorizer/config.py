"""The configuration of a training run, and the presets."""

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.errors import ColorizerError

PresetName = Literal["smoke", "base"]
Filters2 = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Filters5 = tuple[
    Annotated[int, Field(ge=1)],
    Annotated[int, Field(ge=1)],
    Annotated[int, Field(ge=1)],
    Annotated[int, Field(ge=1)],
    Annotated[int, Field(ge=1)],
]


class FitConfig(BaseModel):
    """All that shapes a training run. It is written to the run folder as config.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """Folder of training photos: any tree of .jpg and .jpeg files."""
    run_dir: Path
    """Folder that the run is written to; made if missing."""
    val_data: Path | None = None
    """Folder of validation photos. Left out: a share of --data is held out, see --val-share."""
    val_share: float = Field(0.1, gt=0, lt=1)
    """Share of --data held out for validation where --val-data is left out."""
    preset: PresetName = "base"
    """Where the defaults of the other flags come from."""
    model: Literal["cnn"] = "cnn"
    """The network: cnn is the report's CNN."""
    encoder_filters: Filters5 = (32, 64, 128, 256, 512)
    """Filters of the CNN's 5 encoder convolutions."""
    decoder_filters: Filters2 = (256, 16)
    """Filters of the CNN's 2 decoder convolutions."""
    output_filters: Filters2 = (16, 8)
    """Filters of the CNN's 2 hidden convolutions after L has been concatenated."""
    norm_momentum: float = Field(0.99, gt=0, lt=1)
    """How slowly the moving statistics of batch normalization follow; lower for short runs."""
    image_size: int = Field(256, ge=32)
    """Side of the square pictures that the network sees."""
    resize: Literal["squash", "crop"] = "squash"
    """How photos become square: squash (as in the report) or crop (cut out the middle)."""
    loss: Literal["l1", "mse", "huber"] = "huber"
    """Loss between predicted and true ab, in Lab units."""
    epochs: int = Field(11, ge=1)
    """Passes over the training photos. The cosine schedule ends with the last."""
    max_minutes: float | None = Field(None, gt=0)
    """Stop cleanly after so many minutes (exit 0; --resume goes on). Never shapes the schedule."""
    batch_size: int = Field(16, ge=1)
    """Photos in a training step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate of AdamW."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Learning rate after the warm-up: cosine decay to zero, or constant."""
    warmup_steps: int = Field(200, ge=0)
    """Steps in which the learning rate rises to its peak (at most a tenth of all)."""
    weight_decay: float = Field(1e-4, ge=0)
    """AdamW's decoupled weight decay."""
    ema: float = Field(0.99, ge=0, lt=1)
    """Momentum of the moving average of the weights that is validated and kept; 0 turns it off."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Keras dtype policy of the training; the saved model is float32 always."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of weights, order and flips of the photos."""
    deterministic: bool = False
    """Use TensorFlow's deterministic operations, slower: with them the same seed gives the same
    weights to the last bit on the same machine. CPUs did so without them whenever we looked."""
    cache: Literal["auto", "disk", "none"] = "auto"
    """Keep decoded photos as Lab records in the run folder while it trains: auto where they fit."""
    checkpoint_minutes: float = Field(5.0, gt=0)
    """Minutes between checkpoints within an epoch; each epoch's end writes one too."""
    resume: bool = False
    """Go on with the run in --run-dir, to the result that it would have had without a stop: bit
    for bit on a CPU or with --deterministic, else but for rounding."""

    @model_validator(mode="after")
    def _places_are_apart(self) -> "FitConfig":
        if self.val_data is not None:
            train, val = self.data.resolve(), self.val_data.resolve()
            if train.is_relative_to(val) or val.is_relative_to(train):
                raise ValueError("--val-data and --data must not lie in one another")
        return self

    def network_arguments(self) -> dict[str, Any]:
        """The keyword arguments that the network's builder takes."""
        return {
            "image_size": self.image_size,
            "encoder_filters": self.encoder_filters,
            "decoder_filters": self.decoder_filters,
            "output_filters": self.output_filters,
            "norm_momentum": self.norm_momentum,
        }


# What may differ when a run is taken up again, without a different result. Photos may have moved:
# their names and sizes are compared.
RESUMABLE = frozenset(
    {"resume", "run_dir", "data", "val_data", "max_minutes", "checkpoint_minutes", "cache"}
)

PRESETS: dict[str, dict[str, Any]] = {
    # A minute or two on a few dozen photos: shows that all parts work together.
    "smoke": {
        "encoder_filters": (16, 32, 64, 96, 128),
        "decoder_filters": (64, 16),
        "output_filters": (12, 8),
        "image_size": 128,
        "epochs": 24,
        "batch_size": 8,
        "warmup_steps": 20,
        "ema": 0.9,
        "norm_momentum": 0.9,
    },
    # The report's CNN on about 6,000 photos, within an hour on 2 CPU cores.
    "base": {"precision": "mixed_bfloat16"},
}


def preset_defaults(name: PresetName) -> FitConfig:
    """The configuration of a preset; what every run must name is left missing, for the parser."""
    fields = FitConfig.model_fields
    values = {key: field.default for key, field in fields.items() if not field.is_required()}
    required = {key: tyro.MISSING for key, field in fields.items() if field.is_required()}
    return FitConfig.model_construct(**{**required, **values, **PRESETS[name], "preset": name})


def load_config(path: Path) -> FitConfig:
    """Reads the configuration of a run from its config.json.

    Raises:
        ColorizerError: there is none, or it is damaged.
    """
    try:
        return FitConfig.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ColorizerError(f"{path.parent}: holds no run (no {path.name})") from None
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise ColorizerError(f"{path}: damaged or of another version: {first}") from None
