"""Supervised training: the network learns to predict the true ab, or how likely each colour is."""

from typing import Any

import keras

from colorizer import losses
from colorizer.config import FitConfig
from colorizer.training.averaging import WeightAverage
from colorizer.training.building import build_network, rate_factors, uses_xla
from colorizer.training.class_predictor import ClassPredictor, taught_by
from colorizer.training.optimizer import build_optimizer, loss_scaled
from colorizer.training.task import Save
from colorizer.training.trainer import trainer_of
from pipelines.batches import evaluation_batches
from pipelines.preparation import PreparedPhotos


class SupervisedTask:
    """A network and a loss between predicted and true ab.

    A network that predicts classes of colours learns by their cross-entropy; `model` is then its
    part up to the logits.

    Args:
        config: what to train and how.
        steps: steps of an epoch.
        val: validation photos.
    """

    judged_by = "val_loss"

    def __init__(self, config: FitConfig, steps: int, val: PreparedPhotos) -> None:
        self.network = self.model = build_network(config)
        loss = losses.by_name(config.loss)
        if config.predicts_classes:
            self.model = ClassPredictor(self.network, taught_by(config), config.transfer.taught)
            loss = losses.class_cross_entropy
        optimizer = build_optimizer(
            learning_rate=config.learning_rate,
            schedule=config.schedule,
            warmup_steps=config.warmup_steps,
            total_steps=config.epochs * steps // config.accumulation,
            weight_decay=config.weight_decay,
            accumulation=config.accumulation,
            factors=rate_factors(config, self.network),
        )
        self.model.compile(
            optimizer=loss_scaled(optimizer, config.precision),
            loss=loss,
            jit_compile=uses_xla(config.xla),
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.trainer = trainer_of(self.model)
        self.average = WeightAverage(self.model.trainable_variables, config.ema)
        self._val_batches = evaluation_batches(val, config.batch_size)

    def variables(self) -> dict[str, list[keras.Variable]]:
        """Gives the variables of network, optimizer and average."""
        return {
            "model": self.model.variables,
            "optimizer": self.model.optimizer.variables,
            "average": self.average.variables,
        }

    def callbacks(self, guard: dict[str, Any], save: Save) -> list[keras.callbacks.Callback]:
        """Gives none."""
        return []

    def validate(self) -> dict[str, float]:
        """Gives the loss on the validation photos."""
        logs = self.trainer.evaluate(self._val_batches)
        return {f"val_{name}": value for name, value in logs.items()}

    def end_epoch(self, row: dict[str, float], guard: dict[str, Any]) -> None:
        """Does nothing."""
