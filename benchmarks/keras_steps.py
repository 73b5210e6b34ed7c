"""Our side of benchmarks/step_time.py: the training step that `colorizer.fit` makes."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from step_worker import serve

from colorizer.command import import_tensorflow
from colorizer.config import FitConfig

if TYPE_CHECKING:
    import keras
    import numpy as np

    from colorizer.training.task import Task


class KerasSide:
    """What the command can ask of this side."""

    def begin(self, *, config: dict[str, Any], steps_per_epoch: int) -> dict[str, Any]:
        """Builds the task of a training and a batch; gives the trainable parameters."""
        import_tensorflow()
        import keras
        import numpy as np
        import tensorflow as tf

        from colorizer.training.precision import dtype_policy

        settings = FitConfig.model_validate(config)
        keras.utils.set_random_seed(settings.seed)
        with dtype_policy(settings.precision):
            self._task = _build_task(settings, steps_per_epoch)
        self._networks = {"generator": self._task.network}
        if settings.is_adversarial:
            self._networks["discriminator"] = self._task.model.discriminator
        random = np.random.default_rng(settings.seed)
        shape = (settings.batch_size, settings.image_size, settings.image_size)
        self._batch = tuple(
            random.uniform(-1.0, 1.0, (*shape, channels)).astype(np.float32) for channels in (1, 2)
        )
        self._batches = tf.data.Dataset.from_tensors(self._batch).repeat()
        return {"parameters": {name: _count(network) for name, network in self._networks.items()}}

    def warm_up(self, *, steps: int) -> dict[str, Any]:
        """Compiles the train function and makes steps before the clock runs."""
        self._task.model.fit(self._batches, steps_per_epoch=steps, shuffle=False, verbose=0)
        self._iterator = iter(self._batches)
        return {}

    def go(self, *, steps: int) -> dict[str, Any]:
        """Gives the seconds of a step of the train function that `fit` calls."""
        train = self._task.model.train_function
        started = time.perf_counter()
        for _ in range(steps):
            logs = train(self._iterator)
        last = float(logs["loss"])
        seconds = (time.perf_counter() - started) / steps
        return {"seconds": seconds, "loss": last}

    def losses(self, *, steps: int) -> dict[str, Any]:
        """Gives the losses of so many steps."""
        rows = []
        for _ in range(steps):
            self._task.model.reset_metrics()
            logs = self._task.model.train_on_batch(*self._batch, return_dict=True)
            names = [name for name in ("loss", "discriminator_loss") if name in logs]
            rows.append({name: float(logs[name]) for name in names})
        return {"losses": rows}

    def export(self, *, file: str) -> dict[str, Any]:
        """Writes random weights, the batch, and what the networks make of it in inference mode."""
        import numpy as np

        lightness, ab = self._batch
        arrays: dict[str, Any] = {"lightness": lightness, "ab": ab}
        random = np.random.default_rng(1)
        for name, network in self._networks.items():
            _randomise(network, random)
            for layer in network.layers:
                for weight in layer.weights:
                    arrays[f"{name}/{layer.name}/{weight.name}"] = weight.numpy()
            inputs = lightness if name == "generator" else {"lightness": lightness, "ab": ab}
            output = network(inputs, training=False)
            arrays[f"output_of_{name}"] = np.asarray(
                output if name == "generator" else output["logits"]
            )
        np.savez(file, **arrays)
        return {}


def _build_task(config: FitConfig, steps: int) -> "Task":
    """Builds the task as `colorizer.fit` does, with validation photos that nobody reads."""
    from colorizer.training.adversarial_task import AdversarialTask
    from colorizer.training.run_folder import RunFolder
    from colorizer.training.supervised import SupervisedTask
    from pipelines.photo_files import PhotoFile
    from pipelines.preparation import PreparedPhotos

    unread = Path(tempfile.gettempdir()) / "unread"
    val = PreparedPhotos(
        root=unread,
        files=tuple(PhotoFile(unread / f"{number}.jpg", 1, 0) for number in range(2)),
        rejected=(),
        photo_mean_ab=((0.0, 0.0),) * 2,
        image_size=config.image_size,
        resize=config.resize,
        records=unread,
        record_indices=(0, 1),
    )
    if config.is_adversarial:
        return AdversarialTask(config, steps, val, RunFolder(config.run_dir))
    return SupervisedTask(config, steps, val)


def _randomise(network: "keras.Model", random: "np.random.Generator") -> None:
    """Gives all weights sizes that keep activations near 1, so that an error anywhere shows."""
    for weight in network.weights:
        if weight.name == "kernel":
            height, width, channels, _ = weight.shape
            value = random.normal(0.0, (height * width * channels) ** -0.5, weight.shape)
        elif weight.name in ("gamma", "moving_variance"):
            value = random.uniform(0.5, 1.5, weight.shape)
        else:
            value = random.uniform(-0.3, 0.3, weight.shape)
        weight.assign(value)


def _count(network: "keras.Model") -> int:
    return sum(weight.value.shape.num_elements() for weight in network.trainable_weights)


if __name__ == "__main__":
    serve(KerasSide())
