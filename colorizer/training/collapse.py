"""Seeing adversarial training collapse, and what is done about it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from colorizer.training.adversarial import AdversarialModel
from colorizer.training.checkpoint import restore_variables, save_variables
from pipelines.errors import ColorizerError

Logs = dict[str, Any] | None

MAX_ROLLBACKS = 3


@dataclass(frozen=True)
class Limits:
    """Where the measures of collapse cross from playing to collapsing.

    Attributes:
        accuracy: both `accuracy_real` and `accuracy_fake` at or above it: the discriminator has
            won, and its verdict says nothing more about colours.
        spread: `spread_fake` over `spread_real` below it: all photos get one tint.
        spread_above: the same ratio above it: colours without measure.
        gradient_below: `generator_gradient` below it: the generator learns nothing.
        gradient_above: either network's gradient above it: it explodes.
        diversity: `noise_diversity` in Lab units below it: the noise is not heard (mode collapse).
    """

    accuracy: float = 0.99
    spread: float = 0.1
    spread_above: float = 3.0
    gradient_below: float = 1e-5
    gradient_above: float = 1e4
    diversity: float = 0.02

    def alarms(self, measures: dict[str, float]) -> dict[str, str]:
        """Gives in words what is wrong, by kind; measures that are missing are passed over."""
        found: dict[str, str] = {}
        real, fake = measures.get("accuracy_real"), measures.get("accuracy_fake")
        if real is not None and fake is not None and min(real, fake) >= self.accuracy:
            found["discriminator"] = (
                f"the discriminator tells {real:.1%} of real and {fake:.1%} of generated photos"
                f" apart (limit {self.accuracy:.0%}): it has won"
            )
        if measures.get("spread_real"):
            ratio = measures["spread_fake"] / measures["spread_real"]
            if not self.spread <= ratio <= self.spread_above:
                what = "all photos get one tint" if ratio < self.spread else "tints run wild"
                found["spread"] = (
                    f"mean ab varies {ratio:.2g} times as much between generated photos as between"
                    f" real ones (limits {self.spread:g} to {self.spread_above:g}): {what}"
                )
        for name in ("generator", "discriminator"):
            norm = measures.get(f"{name}_gradient")
            if norm is not None and norm > self.gradient_above:
                found[f"{name}_gradient"] = (
                    f"the {name}'s gradient has norm {norm:.3g} (limit {self.gradient_above:g}):"
                    " it explodes"
                )
        norm = measures.get("generator_gradient")
        if norm is not None and norm < self.gradient_below:
            found["generator_gradient"] = (
                f"the generator's gradient has norm {norm:.3g} (limit {self.gradient_below:g}):"
                " it learns nothing"
            )
        diversity = measures.get("noise_diversity")
        if diversity is not None and diversity < self.diversity:
            found["diversity"] = (
                f"other noise changes ab by {diversity:.2g} Lab units (limit {self.diversity:g}):"
                " one colouring only for each photo"
            )
        return found


class CollapseGuard(keras.callbacks.Callback):
    """Looks at the measures of collapse at fixed steps; warns in words, stops or rolls back.

    Each look takes the means since the look before. A rollback restores the variables as they
    were at the last look without an alarm and halves the discriminator's rate; the photos go on
    from where they are, so that the same steps do not come again.

    Args:
        variables: what a rollback restores, in groups.
        pace: the factor on the discriminator's rate.
        good: where the last good state is kept, for "rollback".
        state: what the guard must remember when a run is taken up again: a dictionary that is
            saved with the progress.
        save: saves the run, given the steps done in this call of `fit` and the epoch's figures. It
            is called after a rollback: the good state that it went back to may be replaced later.
        action: "warn", "stop" or "rollback".
        check_steps: steps between two looks.
        limits: what counts as collapse.
        writes: whether this process writes the good state, see `RunFolder`.
    """

    def __init__(
        self,
        *,
        variables: dict[str, list[keras.Variable]],
        pace: keras.Variable,
        good: Path,
        state: dict[str, Any],
        save: Callable[[int, dict[str, float]], None],
        action: str,
        check_steps: int,
        limits: Limits | None = None,
        writes: bool = True,
    ) -> None:
        super().__init__()
        self.limits = limits or Limits()
        self._variables, self._pace, self._good = variables, pace, good
        self._state, self._save, self._writes = state, save, writes
        self._action, self._check_steps = action, check_steps
        self._state.setdefault("steps", 0)
        self._state.setdefault("rollbacks", 0)
        self._state.setdefault("alarms", 0)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Keeps the state before the first step: the first one to go back to."""
        if self._action == "rollback" and not self._state["steps"]:
            save_variables(self._good, self._variables, write=self._writes)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Looks, when it is time.

        Raises:
            ColorizerError: the training has collapsed and is to be stopped, or was rolled back
                too often.
        """
        self._state["steps"] += 1
        if self._state["steps"] % self._check_steps == 0:
            rolled_back = self._look(self._measures(), f"step {self._state['steps']}")
            if rolled_back:
                self._save(batch + 1, {name: float(value) for name, value in (logs or {}).items()})

    def end_epoch(self, measures: dict[str, float], epoch: int) -> None:
        """Looks at what only validation shows, unless the training has just begun.

        Raises:
            ColorizerError: as `on_train_batch_end`.
        """
        # Keras begins the sums of the next epoch anew.
        self._state["sums"] = {}
        if self._state["steps"] >= self._check_steps:
            self._look(measures, f"the end of epoch {epoch}")

    def _look(self, measures: dict[str, float], when: str) -> bool:
        """Compares the measures with the limits and acts; says whether it has rolled back."""
        alarms = self.limits.alarms(measures)
        if not alarms:
            if self._action == "rollback":
                save_variables(self._good, self._variables, write=self._writes)
            return False
        self._state["alarms"] += 1
        for words in alarms.values():
            _say(f"warning: {when}: collapse: {words}")
        if self._action == "stop":
            raise ColorizerError(f"training has collapsed at {when}: {'; '.join(alarms.values())}")
        if self._action == "rollback":
            self._roll_back(when)
            return True
        return False

    def _roll_back(self, when: str) -> None:
        if self._state["rollbacks"] == MAX_ROLLBACKS:
            raise ColorizerError(
                f"training has collapsed at {when}, after {MAX_ROLLBACKS} rollbacks:"
                " a lower --adversarial.discriminator-learning-rate or --adversarial.beta may help"
            )
        restore_variables(self._good, self._variables)
        self._state["rollbacks"] += 1
        self._pace.assign(0.5 ** self._state["rollbacks"])
        _say(f"rolled back to the last good state; discriminator's rate x {_number(self._pace):g}")

    def _measures(self) -> dict[str, float]:
        """Means of the model's figures since the last look."""
        assert isinstance(self.model, AdversarialModel)
        measures, sums = {}, {}
        for name, metric in self.model.means.items():
            total, count = _number(metric.total), _number(metric.count)
            old_total, old_count = self._state.get("sums", {}).get(name, (0.0, 0.0))
            sums[name] = (total, count)
            if count > old_count:
                measures[name] = (total - old_total) / (count - old_count)
        self._state["sums"] = sums
        return measures


def _say(words: str) -> None:
    # On a line of its own, also while a progress bar is on the screen.
    tqdm.write(words, file=sys.stderr)


def _number(variable: keras.Variable) -> float:
    # Unlike float(), this reads a variable that is mirrored over devices.
    return float(keras.ops.convert_to_numpy(variable))
