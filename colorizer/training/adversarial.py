"""Adversarial training as a Keras model: a generator of colours against a discriminator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from colorizer.adversarial_losses import AdversarialLoss, feature_matching, features_of
from colorizer.losses import Loss
from colorizer.models.dcgan import LatentNoise, split_dcgan_generator
from colorizer.training.gradient_penalties import gradient_penalty, r1_penalty
from pipelines.color import AB_RANGE

Tensor = Any
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """What the two networks minimise. The one place that computes adversarial losses.

    The generator's loss is alpha * reconstruction + beta * adversarial term + feature matching,
    REPORT's L_G with `adversarial` "non_saturating" or "minimax"; the discriminator's is that of
    `adversarial` and the penalties.

    Attributes:
        adversarial: the game.
        reconstruction: between true and predicted ab, in Lab units.
        alpha: weight of the reconstruction.
        beta: weight of the adversarial term.
        feature_matching: weight of the distance between the discriminator's features.
        r1: gamma of R1 (Mescheder et al. 2018), of which half is added.
        gradient_penalty: weight of WGAN-GP's penalty (Gulrajani et al. 2017).
        label_smoothing: the real label is one minus this.
    """

    adversarial: AdversarialLoss
    reconstruction: Loss
    alpha: float = 1.0
    beta: float = 1.0
    feature_matching: float = 0.0
    r1: float = 0.0
    gradient_penalty: float = 0.0
    label_smoothing: float = 0.0

    def for_generator(
        self, ab: Tensor, fake_ab: Tensor, fake: Mapping[str, Tensor], real: Mapping[str, Tensor]
    ) -> Losses:
        """Gives the generator's "loss" and its parts, float32 scalars.

        Args:
            ab: true ab.
            fake_ab: the generator's ab.
            fake: what the discriminator says of it.
            real: what it says of the true ab; read for feature matching only.
        """
        reconstruction = ops.mean(self.reconstruction(ab, fake_ab))
        adversarial = ops.mean(self.adversarial.generator(fake["logits"]))
        loss = self.alpha * reconstruction + self.beta * adversarial
        if self.feature_matching:
            distance = ops.mean(feature_matching(features_of(real), features_of(fake)))
            loss = loss + self.feature_matching * distance
        return {
            "loss": loss,
            "reconstruction_loss": reconstruction,
            "generator_loss": adversarial,
        }

    def for_discriminator(self, fake: Mapping[str, Tensor], real: Mapping[str, Tensor]) -> Tensor:
        """Gives the discriminator's loss but for its penalties, a float32 scalar."""
        losses = self.adversarial.discriminator(
            real["logits"], fake["logits"], label_smoothing=self.label_smoothing
        )
        return ops.mean(losses)

    def penalties(
        self,
        discriminator: keras.Model,
        lightness: Tensor,
        ab: Tensor,
        fake_ab: Tensor,
        seeds: keras.random.SeedGenerator,
    ) -> Tensor:
        """Gives the weighted penalties on the discriminator's slope, a float32 scalar."""
        total = tf.zeros((), tf.float32)
        if self.r1:
            total += 0.5 * self.r1 * r1_penalty(discriminator, lightness, ab)
        if self.gradient_penalty:
            slope = gradient_penalty(discriminator, lightness, ab, fake_ab, seeds)
            total += self.gradient_penalty * slope
        return total


class AdversarialModel(keras.Model):
    """A generator and a discriminator that train against each other (Goodfellow et al. 2014).

    `fit` and `evaluate` take batches of (lightness, ab). One step updates the discriminator
    `discriminator_steps` times, each time on the same photos with fresh noise, then the generator
    against the updated one. The figures of a step, all means over the epoch:

    - `loss` (the generator's), `reconstruction_loss`, `generator_loss` (its adversarial term
      alone), `discriminator_loss` (penalties included);
    - `accuracy_real`, `accuracy_fake`: the share of logits on the right side, 0 for all games but
      least squares, 1/2 there;
    - `generator_gradient`, `discriminator_gradient`: norms of the whole gradients, loss scale and
      steps without finite gradients left out;
    - `spread_fake`, `spread_real`: standard deviation over the photos of a batch of the photo's
      mean a and b, in Lab units: a generator that paints all photos alike has none;
    - `evaluate` only, where the generator samples: `noise_diversity`, mean absolute difference in
      Lab units between two colourings of the same photo with other noise.

    Args:
        generator: from `lightness` (N, S, S, 1) to `ab` (N, S, S, 2).
        discriminator: from {"lightness", "ab"} to a dictionary with "logits" and "feature_*".
        seed: seed of instance noise, of the gradient penalty's places and of `noise_diversity`.
    """

    def __init__(
        self, generator: keras.Model, discriminator: keras.Model, *, seed: int = 0
    ) -> None:
        super().__init__(name="adversarial")
        self.generator = generator
        self.discriminator = discriminator
        self.seeds = keras.random.SeedGenerator(seed)
        self.samples = any(isinstance(layer, LatentNoise) for layer in generator.layers)
        if self.samples:
            self._processor, self._grower = split_dcgan_generator(generator)
        self.built = True

    def call(self, lightness: Tensor, training: bool = False) -> Tensor:
        """Gives the generator's ab."""
        return self.generator(lightness, training=training)

    def compile(
        self,
        *,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        objective: Objective,
        discriminator_steps: int = 1,
        instance_noise: float = 0.0,
        total_steps: int | None = None,
        **arguments: Any,
    ) -> None:
        """Prepares for training.

        Both optimizers scale their own losses: under float16 give both wrapped in a
        `LossScaleOptimizer`.

        Args:
            generator_optimizer: of the generator.
            discriminator_optimizer: of the discriminator; its rate may differ (Heusel et al. 2017).
            objective: what each network minimises.
            discriminator_steps: updates of the discriminator for each of the generator.
            instance_noise: standard deviation, in Lab units, of the noise on all ab that the
                discriminator sees (Sonderby et al. 2017), falling linearly to zero.
            total_steps: updates of the generator after which it is zero; None keeps it.
            **arguments: further ones of `keras.Model.compile`, metrics among them: they are
                given true and predicted ab.
        """
        super().compile(optimizer=generator_optimizer, **arguments)
        self.discriminator_optimizer = discriminator_optimizer
        self.objective = objective
        self.discriminator_steps = discriminator_steps
        self.instance_noise = instance_noise
        self.total_steps = total_steps
        # Least squares pulls logits to 1 and 0, every other game apart from 0.
        self._boundary = 0.5 if objective.adversarial.name == "least_squares" else 0.0
        names = [
            "reconstruction_loss",
            "generator_loss",
            "discriminator_loss",
            "accuracy_real",
            "accuracy_fake",
            "generator_gradient",
            "discriminator_gradient",
            "spread_real",
            "spread_fake",
        ]
        names += ["noise_diversity"] if self.samples else []
        self.means = {name: keras.metrics.Mean(name=name) for name in names}
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """Updates the discriminator, then the generator."""
        lightness, ab = _unpacked(data)
        with tf.GradientTape() as tape:
            fake_ab = self.generator(lightness, training=True)
            with tape.stop_recording():
                self._train_discriminator(lightness, ab, fake_ab)
            fake = self._judged(lightness, fake_ab)
            matched = self.objective.feature_matching
            real = self._judged(lightness, ab) if matched else {}
            losses = self.objective.for_generator(ab, fake_ab, fake, real)
            scaled = self._scaled(losses["loss"], self.optimizer)
        norm = self._update(tape, scaled, self.generator, self.optimizer)
        self._note_generator(losses, ab, fake_ab)
        self._note("generator_gradient", norm)
        return self._results(ab, fake_ab, without=("noise_diversity",))

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """Measures the same losses and figures with the networks as they are."""
        lightness, ab = _unpacked(data)
        fake_ab = self.generator(lightness, training=False)
        fake = self._judged(lightness, fake_ab, training=False)
        real = self._judged(lightness, ab, training=False)
        losses = self.objective.for_generator(ab, fake_ab, fake, real)
        self._note_generator(losses, ab, fake_ab)
        self._note_discriminator(self.objective.for_discriminator(fake, real), fake, real)
        if self.samples:
            self._note("noise_diversity", self._noise_diversity(lightness))
        return self._results(ab, fake_ab, without=("generator_gradient", "discriminator_gradient"))

    def _train_discriminator(self, lightness: Tensor, ab: Tensor, first_fake_ab: Tensor) -> None:
        for number in range(self.discriminator_steps):
            fake_ab = first_fake_ab
            if number and self.samples:
                fake_ab = self.generator(lightness, training=True)
            fake_ab = tf.stop_gradient(fake_ab)
            with tf.GradientTape() as tape:
                real = self._judged(lightness, ab)
                fake = self._judged(lightness, fake_ab)
                loss = self.objective.for_discriminator(fake, real)
                loss += self.objective.penalties(
                    self.discriminator, lightness, ab, fake_ab, self.seeds
                )
                scaled = self._scaled(loss, self.discriminator_optimizer)
            norm = self._update(tape, scaled, self.discriminator, self.discriminator_optimizer)
            self._note_discriminator(loss, fake, real)
            self._note("discriminator_gradient", norm)

    def _judged(self, lightness: Tensor, ab: Tensor, training: bool = True) -> dict[str, Tensor]:
        if training and self.instance_noise:
            noise = keras.random.normal(tf.shape(ab), stddev=1.0, seed=self.seeds)
            ab = ab + self._instance_noise() * noise
        return self.discriminator({"lightness": lightness, "ab": ab}, training=training)

    def _instance_noise(self) -> Tensor:
        stddev = self.instance_noise / AB_RANGE
        if self.total_steps is None:
            return stddev
        done = tf.cast(self.optimizer.iterations.value, tf.float32) / self.total_steps
        return stddev * tf.maximum(0.0, 1.0 - done)

    def _scaled(self, loss: Tensor, optimizer: keras.optimizers.Optimizer) -> Tensor:
        # Each replica averages over its own photos; the optimizer adds the replicas' gradients.
        return optimizer.scale_loss(loss / tf.distribute.get_strategy().num_replicas_in_sync)

    def _update(
        self,
        tape: tf.GradientTape,
        scaled_loss: Tensor,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
    ) -> Tensor:
        """Moves the network and gives the norm of this replica's gradient."""
        variables = network.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        norm = tf.linalg.global_norm(gradients) * replicas / optimizer.scale_loss(1.0)
        optimizer.apply(gradients, variables)
        return norm

    def _noise_diversity(self, lightness: Tensor) -> Tensor:
        vector = self._processor(lightness, training=False)
        stddev = self.generator.get_layer("latent").stddev
        first, second = (
            self._grower(
                tf.cast(vector, tf.float32)
                + stddev * keras.random.normal(tf.shape(vector), seed=self.seeds),
                training=False,
            )
            for _ in range(2)
        )
        return AB_RANGE * tf.reduce_mean(tf.abs(first - second))

    def _note_generator(self, losses: Losses, ab: Tensor, fake_ab: Tensor) -> None:
        self._loss_tracker.update_state(losses["loss"], sample_weight=tf.shape(ab)[0])
        self._note("reconstruction_loss", losses["reconstruction_loss"])
        self._note("generator_loss", losses["generator_loss"])
        for name, shown in (("spread_real", ab), ("spread_fake", fake_ab)):
            means = AB_RANGE * tf.reduce_mean(tf.cast(shown, tf.float32), axis=(1, 2))
            self._note(name, tf.reduce_mean(tf.math.reduce_std(means, axis=0)))

    def _note_discriminator(
        self, loss: Tensor, fake: Mapping[str, Tensor], real: Mapping[str, Tensor]
    ) -> None:
        self._note("discriminator_loss", loss)
        self._note("accuracy_real", tf.cast(real["logits"] > self._boundary, tf.float32))
        self._note("accuracy_fake", tf.cast(fake["logits"] < self._boundary, tf.float32))

    def _note(self, name: str, values: Tensor) -> None:
        values = tf.reduce_mean(values)
        if name.endswith("_gradient"):
            finite = tf.math.is_finite(values)
            values, weight = tf.where(finite, values, 0.0), tf.cast(finite, tf.float32)
            self.means[name].update_state(values, sample_weight=weight)
        else:
            self.means[name].update_state(values)

    def _results(self, ab: Tensor, fake_ab: Tensor, without: tuple[str, ...]) -> dict[str, Tensor]:
        results = self.compute_metrics(None, ab, fake_ab)
        return {name: value for name, value in results.items() if name not in without}


def _unpacked(data: Any) -> tuple[Tensor, Tensor]:
    lightness, ab, weights = keras.utils.unpack_x_y_sample_weight(data)
    if ab is None or weights is not None:
        raise ValueError("expected batches of (lightness, ab), without sample weights")
    return lightness, ab
