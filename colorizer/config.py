"""The configuration of a training run, and the presets."""

from pathlib import Path
from typing import Any, Literal

import tyro
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from colorizer.network_config import (
    AdversarialConfig,
    CnnConfig,
    DcganConfig,
    LiteConfig,
    TransferConfig,
    UnetConfig,
)
from pipelines.dataset_names import is_dataset, parse_datasets
from pipelines.errors import ColorizerError, UsageError

PresetName = Literal["smoke", "base"]
ModelName = Literal["cnn", "unet", "dcgan", "lite"]
TrainingName = Literal["supervised", "adversarial"]


class FitConfig(BaseModel):
    """All that shapes a training run. It is written to the run folder as config.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    """Folder of training photos: any tree of .jpg and .jpeg files; or datasets that build_dataset
    built, tfds:NAME[,tfds:NAME*2], with how many times an epoch shows each photo."""
    run_dir: Path
    """Folder that the run is written to; made if missing."""
    val_data: Path | None = None
    """Folder of validation photos, or datasets. Left out: the datasets' own validation split; of a
    folder a share is held out, see --val-share."""
    val_share: float = Field(0.1, gt=0, lt=1)
    """Share of --data held out for validation where --val-data is left out."""
    preset: PresetName = "base"
    """Where the defaults of the other flags come from."""
    model: ModelName = "cnn"
    """The network: cnn and dcgan are the report's; unet learns faster; lite is a U-Net on an
    encoder that has learned to see on ImageNet."""
    training: TrainingName = "supervised"
    """How it learns. Adversarial training is a short stage after a supervised one: --init-from."""
    init_from: tuple[Path, ...] = ()
    """Run folder of the same network, whose weights this training starts from; or `shipped`, the
    weights that come with the package (--model lite --lite.head classes). Of several: the mean of
    their weights."""
    cnn: CnnConfig = CnnConfig()
    unet: UnetConfig = UnetConfig()
    dcgan: DcganConfig = DcganConfig()
    lite: LiteConfig = LiteConfig()
    transfer: TransferConfig = TransferConfig()
    adversarial: AdversarialConfig = AdversarialConfig()
    norm_momentum: float = Field(0.99, gt=0, lt=1)
    """How slowly the moving statistics of batch normalization follow; lower for short runs."""
    image_size: int = Field(256, ge=32)
    """Side of the square pictures that the network sees."""
    resize: Literal["squash", "crop"] = "squash"
    """How photos become square: squash (as in the report) or crop (cut out the middle)."""
    min_crop: float = Field(1.0, gt=0, le=1)
    """Train on random squares of a share of the picture's side between this and 1; 1 turns it
    off, as in the report."""
    loss: Literal["l1", "mse", "huber"] = "huber"
    """Loss between predicted and true ab, in Lab units."""
    epochs: int = Field(11, ge=1)
    """Passes over the training photos. The cosine schedule ends with the last."""
    epoch_steps: int | None = Field(None, ge=1)
    """Steps of an epoch, where that shall be less than a pass over all photos."""
    max_minutes: float | None = Field(None, gt=0)
    """Stop cleanly after so many minutes (exit 0; --resume goes on). Never shapes the schedule."""
    batch_size: int = Field(16, ge=1)
    """Photos in a training step, over all devices together."""
    accumulation: int = Field(1, ge=1)
    """Steps whose gradients are averaged into one update of the weights."""
    devices: int = Field(1, ge=1)
    """GPUs of this machine to train on together. Without a GPU: parts of the CPU, to try it out."""
    xla: Literal["auto", "on", "off"] = "auto"
    """Compile the training step with XLA; auto does so on GPUs (CPUs train 2 to 10 times slower
    with it)."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate of AdamW (of the generator)."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Learning rate after the warm-up: cosine decay to zero, or constant."""
    warmup_steps: int = Field(200, ge=0)
    """Steps in which the learning rate rises to its peak (at most a tenth of all)."""
    weight_decay: float = Field(1e-4, ge=0)
    """AdamW's decoupled weight decay."""
    ema: float = Field(0.99, ge=0, lt=1)
    """Momentum of the moving average of the weights (of the generator) that is validated and kept;
    0 turns it off."""
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

    @field_validator("init_from", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        if given is None:
            return ()
        return (given,) if isinstance(given, str | Path) else given

    @model_validator(mode="after")
    def _places_are_apart(self) -> "FitConfig":
        if self.val_data is None:
            return self
        if _splits(self.data, "train") & _splits(self.val_data, "validation"):
            raise ValueError("--val-data and --data must not name the same split of a dataset")
        if not (is_dataset(self.data) or is_dataset(self.val_data)):
            train, val = self.data.resolve(), self.val_data.resolve()
            if train.is_relative_to(val) or val.is_relative_to(train):
                raise ValueError("--val-data and --data must not lie in one another")
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> "FitConfig":
        adversarial = self.adversarial
        if self.is_adversarial:
            if self.predicts_classes:
                raise ValueError("--lite.head classes: adversarial training needs a regression")
            unlabelled = adversarial.loss in ("hinge", "wasserstein")
            if adversarial.label_smoothing and unlabelled:
                raise ValueError(f"--adversarial.loss {adversarial.loss} has no labels to smooth")
            slopes = adversarial.r1 or adversarial.loss == "wasserstein"
            mixes = self.discriminator == "dcgan" or adversarial.normalization == "batch"
            if slopes and mixes:
                raise ValueError(
                    "wasserstein and --adversarial.r1 need a discriminator without batch"
                    " normalization: --adversarial.discriminator patch"
                    " --adversarial.normalization instance, layer or none"
                )
        if self.transfer.teachers and not self.predicts_classes:
            raise ValueError("--transfer.teachers: only --model lite --lite.head classes is taught")
        if self.batch_size % self.devices:
            raise ValueError("--batch-size must be a multiple of --devices")
        if self.accumulation > 1 and self.devices > 1:
            # Keras 3.15 updates under a condition, which TensorFlow's strategies do not allow.
            raise ValueError("--accumulation is for one device: take fewer --devices, or 1")
        return self

    @property
    def is_adversarial(self) -> bool:
        """Whether the training is adversarial."""
        return self.training == "adversarial"

    @property
    def predicts_classes(self) -> bool:
        """Whether the network gives each class of colours a probability."""
        return self.model == "lite" and self.lite.head == "classes"

    @property
    def discriminator(self) -> str:
        """The discriminator of an adversarial training."""
        return self.adversarial.discriminator or ("dcgan" if self.model == "dcgan" else "patch")

    def without_start(self) -> "FitConfig":
        """The same, for a network whose weights all come from a checkpoint."""
        transfer = self.transfer.model_copy(update={"imagenet": False})
        return self.model_copy(update={"init_from": (), "transfer": transfer})

    def network_arguments(self) -> dict[str, Any]:
        """The keyword arguments that the builder of the colorizing network takes."""
        own: dict[str, Any] = getattr(self, self.model).model_dump()
        if self.model == "dcgan":
            filters = own["filters"]
            own["processor_filters"] = filters and filters[::-1]
        return {"image_size": self.image_size, "norm_momentum": self.norm_momentum, **own}

    def discriminator_arguments(self) -> dict[str, Any]:
        """The keyword arguments that the builder of the discriminator takes."""
        chosen = self.adversarial
        own: dict[str, Any] = {
            "image_size": self.image_size,
            "norm_momentum": self.norm_momentum,
        }
        if chosen.filters is not None:
            own["filters"] = chosen.filters
        if self.discriminator == "patch":
            for name in ("pool", "normalization", "spectral_normalization", "attention"):
                own[name] = getattr(chosen, name)
        return own


# What may differ when a run is taken up again, without a different result. Photos may have moved:
# their names and sizes are compared.
RESUMABLE = frozenset(
    {
        "resume",
        "run_dir",
        "data",
        "val_data",
        "init_from",
        "max_minutes",
        "checkpoint_minutes",
        "cache",
    }
)

PRESETS: dict[str, dict[str, Any]] = {
    # A minute or two on a few dozen photos: shows that all parts work together.
    "smoke": {
        "cnn": CnnConfig(
            encoder_filters=(16, 32, 64, 96, 128), decoder_filters=(64, 16), output_filters=(12, 8)
        ),
        "unet": UnetConfig(
            filters=(16, 32, 64, 96), blocks=(0, 0, 1, 1), decoder_filters=(48, 32, 16)
        ),
        "image_size": 128,
        "epochs": 24,
        "batch_size": 8,
        "warmup_steps": 20,
        "ema": 0.9,
        "norm_momentum": 0.9,
    },
    # About 6,000 photos, within an hour on 2 CPU cores.
    "base": {"precision": "mixed_bfloat16"},
}

# What one network's training changes in a preset.
_OF_MODEL: dict[tuple[str, str, str], dict[str, Any]] = {
    ("smoke", "unet", "adversarial"): {
        "learning_rate": 2e-4,
        "adversarial": AdversarialConfig(
            loss="hinge",
            pool=4,
            filters=(32, 64),
            normalization="none",
            spectral_normalization=True,
            check_steps=20,
        ),
    },
    ("smoke", "dcgan", "adversarial"): {"adversarial": AdversarialConfig(check_steps=20)},
    ("base", "unet", "supervised"): {"epochs": 16, "min_crop": 0.7, "weight_decay": 0.02},
    # In float32: bfloat16 makes depthwise convolutions slower on CPUs.
    ("base", "lite", "supervised"): {
        "precision": "float32",
        "min_crop": 0.7,
        "weight_decay": 0.02,
        "transfer": TransferConfig(frozen_blocks=5),
    },
    ("base", "dcgan", "supervised"): {
        "epochs": 6,
        "loss": "l1",
        "schedule": "constant",
        "ema": 0.995,
    },
    # Stages after the supervised training: --init-from.
    ("base", "unet", "adversarial"): {
        "epochs": 10,
        "epoch_steps": 187,
        "learning_rate": 2e-4,
        "ema": 0.995,
        "adversarial": AdversarialConfig(
            loss="hinge",
            alpha=0.25,
            pool=4,
            filters=(64, 128, 256),
            normalization="none",
            spectral_normalization=True,
            discriminator_learning_rate=4e-4,
        ),
    },
    # Colours come within a hundred steps, so it looks often.
    ("base", "dcgan", "adversarial"): {
        "epochs": 10,
        "epoch_steps": 60,
        "loss": "l1",
        "learning_rate": 1e-4,
        "ema": 0.95,
        "adversarial": AdversarialConfig(alpha=0.1, discriminator_learning_rate=1e-4),
    },
}


def _splits(data: Path, split: str) -> set[tuple[str, str]]:
    """The datasets that `data` names, with their splits; none where it is a folder."""
    if not is_dataset(data):
        return set()
    try:
        return {(one.name, one.split or split) for one in parse_datasets(data)}
    except UsageError as error:
        raise ValueError(str(error)) from None


def preset_defaults(
    name: PresetName, model: ModelName = "cnn", training: TrainingName = "supervised"
) -> FitConfig:
    """The configuration of a preset for a network and its training.

    What every run must name is left missing, for the parser.
    """
    fields = FitConfig.model_fields
    values = {key: field.default for key, field in fields.items() if not field.is_required()}
    required = {key: tyro.MISSING for key, field in fields.items() if field.is_required()}
    chosen = PRESETS[name] | _OF_MODEL.get((name, model, training), {})
    own = {"preset": name, "model": model, "training": training}
    return FitConfig.model_construct(**{**required, **values, **chosen, **own})


def preset_config(
    preset: PresetName,
    model: ModelName = "cnn",
    training: TrainingName = "supervised",
    **changes: Any,
) -> FitConfig:
    """Gives a preset's configuration with changes, for `colorizer.fit.fit` from Python.

    >>> fit(preset_config("smoke", "unet", data=photos, run_dir=Path("runs/unet"), epochs=4))

    Args:
        preset: where the fields that are not named come from.
        model: the network.
        training: how it learns.
        **changes: fields of `FitConfig`; `data` and `run_dir` are needed. A dictionary changes
            single fields of a section: `adversarial={"on_collapse": "stop"}`.

    Raises:
        pydantic.ValidationError: a field is missing, unknown or of a wrong value, or fields do not
            go together; the message names it.
    """
    values = dict(preset_defaults(preset, model, training))
    for name, value in changes.items():
        section = values.get(name)
        if isinstance(section, BaseModel) and isinstance(value, dict):
            value = {**section.model_dump(), **value}
        values[name] = value
    given = {name: value for name, value in values.items() if value is not tyro.MISSING}
    return FitConfig(**given)


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
