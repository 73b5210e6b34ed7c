"""Adversarial training as a task of the training loop."""

from functools import partial
from typing import Any

import keras
import tensorflow as tf

from colorizer import adversarial_losses, losses, models
from colorizer.config import FitConfig
from colorizer.evaluation.quick_scores import QuickScorer
from colorizer.pretrained.image_features import ImageFeatures
from colorizer.training.adversarial import AdversarialModel, Objective
from colorizer.training.averaging import WeightAverage
from colorizer.training.building import (
    build_network,
    prepare_norms,
    rate_factors,
    uses_xla,
)
from colorizer.training.collapse import CollapseGuard
from colorizer.training.optimizer import build_optimizer, loss_scaled
from colorizer.training.run_folder import RunFolder
from colorizer.training.task import Save
from colorizer.training.trainer import trainer_of
from pipelines.batches import evaluation_batches
from pipelines.preparation import PreparedPhotos

# Added to the score of a network that falls too far below gray: it loses against all others.
BELOW_GRAY = 10.0


class AdversarialTask:
    """A generator, a discriminator, and the score by which an epoch is chosen.

    Args:
        config: what to train and how.
        steps: steps of an epoch.
        val: validation photos.
        folder: where the run is kept.
    """

    judged_by = "val_score"

    def __init__(
        self, config: FitConfig, steps: int, val: PreparedPhotos, folder: RunFolder
    ) -> None:
        self.config, self._folder = config, folder
        self.network = build_network(config)
        discriminator = prepare_norms(
            models.build_discriminator(config.discriminator, **config.discriminator_arguments())
        )
        self.model = AdversarialModel(self.network, discriminator, seed=config.seed)
        self._pace = keras.Variable(1.0, trainable=False, name="discriminator_pace")
        self._compile(config, config.epochs * steps // config.accumulation)
        self.trainer = trainer_of(self.model)
        self.average = WeightAverage(self.network.weights, config.ema)
        self._val_batches = evaluation_batches(val, config.batch_size)
        self._scorer = QuickScorer(val, ImageFeatures(), config.batch_size)
        self._predict = tf.function(
            lambda lightness: self.network(lightness, training=False), reduce_retracing=True
        )

    def variables(self) -> dict[str, list[keras.Variable]]:
        """Gives the variables of both networks, both optimizers and the average."""
        return {
            "model": self.model.variables,
            "optimizer": self.model.optimizer.variables,
            "discriminator_optimizer": self.model.discriminator_optimizer.variables,
            "average": self.average.variables,
            "pace": [self._pace],
        }

    def callbacks(self, guard: dict[str, Any], save: Save) -> list[keras.callbacks.Callback]:
        """Gives the guard against collapse."""
        return [self._guard(guard, save)]

    def validate(self) -> dict[str, float]:
        """Gives the losses and the measures of collapse, the figures of realism, and the score."""
        logs = self.trainer.evaluate(self._val_batches)
        scores = self._scorer(lambda lightness: self._predict(lightness).numpy())
        figures = {**logs, **scores, "score": score(scores, self.config.adversarial.psnr_margin)}
        return {f"val_{name}": float(value) for name, value in figures.items()}

    def end_epoch(self, row: dict[str, float], guard: dict[str, Any]) -> None:
        """Looks for collapse in what only validation shows, the diversity over noise."""
        name = "noise_diversity"
        measures = {name: row[f"val_{name}"]} if self.model.samples else {}
        self._guard(guard, lambda steps, logs: None).end_epoch(measures, int(row["epoch"]))
        row["alarms"] = guard["alarms"]

    def _guard(self, state: dict[str, Any], save: Save) -> CollapseGuard:
        return CollapseGuard(
            variables=self.variables(),
            pace=self._pace,
            good=self._folder.last_good,
            state=state,
            save=save,
            action=self.config.adversarial.on_collapse,
            check_steps=self.config.adversarial.check_steps,
            writes=self._folder.writes,
        )

    def _compile(self, config: FitConfig, updates: int) -> None:
        chosen = config.adversarial
        shared = partial(
            build_optimizer,
            schedule=config.schedule,
            warmup_steps=config.warmup_steps,
            weight_decay=config.weight_decay,
            beta_1=chosen.beta_1,
            accumulation=config.accumulation,
        )
        generator = shared(
            learning_rate=config.learning_rate,
            total_steps=updates,
            factors=rate_factors(config, self.network),
        )
        discriminator = shared(
            learning_rate=chosen.discriminator_learning_rate,
            total_steps=updates * chosen.discriminator_steps,
            pace=self._pace,
        )
        wasserstein = chosen.loss == "wasserstein"
        self.model.compile(
            generator_optimizer=loss_scaled(generator, config.precision),
            discriminator_optimizer=loss_scaled(discriminator, config.precision),
            objective=Objective(
                adversarial_losses.by_name(chosen.loss),
                losses.by_name(config.loss),
                alpha=chosen.alpha,
                beta=chosen.beta,
                feature_matching=chosen.feature_matching,
                r1=chosen.r1,
                gradient_penalty=chosen.gradient_penalty if wasserstein else 0.0,
                label_smoothing=chosen.label_smoothing,
            ),
            discriminator_steps=chosen.discriminator_steps,
            instance_noise=chosen.instance_noise,
            total_steps=updates,
            jit_compile=uses_xla(config.xla),
        )


def score(scores: dict[str, float], psnr_margin: float = 0.0) -> float:
    """Gives the score by which the epochs of an adversarial training are ranked; lower is better.

    Adversarial losses do not rank epochs: they are measured against an opponent that changes. The
    score is KID over gray's KID, plus the distance of mean colourfulness from the truth's as a
    share of it; a network whose PSNR is too far below gray's is worse than any whose is not.

    Args:
        scores: those of `QuickScorer`.
        psnr_margin: how far below gray's PSNR is not too far, in dB.
    """
    kid = scores["kid"] / scores["kid_gray"]
    distance = abs(scores["colourfulness"] / scores["colourfulness_truth"] - 1.0)
    below = scores["psnr"] < scores["psnr_gray"] - psnr_margin
    return kid + distance + (BELOW_GRAY if below else 0.0)
