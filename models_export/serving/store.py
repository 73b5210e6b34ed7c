"""The models that are served: their base folders are watched, versions come and go."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from colorizer.command import note
from models_export.serving.servable import Servable
from models_export.serving.statuses import Code, ServingError, invalid


class State(StrEnum):
    """Where a version is in its life."""

    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(frozen=True)
class VersionStatus:
    """What is known of a version.

    Attributes:
        version: its number.
        state: where it is in its life.
        code: OK, or why it came to its end.
        message: the same in words.
    """

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


@dataclass(frozen=True)
class ModelConfig:
    """A model to serve.

    Attributes:
        base_path: folder whose sub-folders with integer names are versions.
        versions: those to serve; empty: the highest ones.
        labels: names of versions.
        latest: how many of the highest versions to serve; None: all.
    """

    base_path: Path
    versions: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)
    latest: int | None = 1


class ModelStore:
    """Loads versions as they appear and unloads them as they vanish or are replaced.

    A new version is loaded and warmed up beside the old one, which answers until then; requests
    that hold the old one finish on it.

    Args:
        configs: the models by name.
        load: makes a servable of name, version and folder; raises ServingError.
    """

    def __init__(
        self,
        configs: Mapping[str, ModelConfig],
        load: Callable[[str, int, Path], Servable],
    ) -> None:
        self._configs = dict(configs)
        self._load = load
        self._lock = threading.Lock()
        self._servables: dict[str, dict[int, Servable]] = {name: {} for name in configs}
        self._statuses: dict[str, dict[int, VersionStatus]] = {name: {} for name in configs}

    def update(self) -> None:
        """Looks at the base folders once; loads what is new and unloads what is gone."""
        for name, config in self._configs.items():
            wanted = _wanted(config)
            for version in sorted(wanted - set(self._seen(name))):
                self._bring_up(name, version, config.base_path / str(version))
            # What should answer does so by now: the old ones may go. Where a new version has
            # failed, the old one stays.
            if wanted and not any(self._is_available(name, version) for version in wanted):
                continue
            for version in set(self._servables[name]) - wanted:
                self._take_down(name, version)
            with self._lock:
                for version in set(self._statuses[name]) - wanted - set(self._servables[name]):
                    if not (config.base_path / str(version)).is_dir():
                        del self._statuses[name][version]

    def get(self, name: str, version: int | None = None, label: str | None = None) -> Servable:
        """Gives a version that answers: the one named, or the highest.

        Raises:
            ServingError: there is none.
        """
        if label is not None:
            version = self._labelled(name, label)
        with self._lock:
            available = self._servables.get(name, {})
            if version is None and available:
                return available[max(available)]
            if version in available:
                return available[version]
        which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {which}")

    def statuses(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> list[VersionStatus]:
        """Gives the status of the version named, or of all.

        Raises:
            ServingError: there is none.
        """
        if label is not None:
            version = self._labelled(name, label)
        with self._lock:
            known = dict(self._statuses.get(name, {}))
        if version is not None:
            if version not in known:
                raise ServingError(
                    Code.NOT_FOUND, f"Could not find version {version} of model {name}"
                )
            return [known[version]]
        if not known:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
        return [known[number] for number in sorted(known)]

    @property
    def names(self) -> list[str]:
        """Names of the models, whether they answer or not."""
        return list(self._configs)

    @property
    def is_ready(self) -> bool:
        """Whether every model has a version that answers."""
        with self._lock:
            return all(self._servables.values())

    def _labelled(self, name: str, label: str) -> int:
        labels = self._configs[name].labels if name in self._configs else {}
        if label not in labels:
            raise invalid(f"Unrecognized servable version label: {label}")
        return labels[label]

    def _seen(self, name: str) -> tuple[int, ...]:
        with self._lock:
            return tuple(self._statuses[name])

    def _is_available(self, name: str, version: int) -> bool:
        with self._lock:
            return version in self._servables[name]

    def _bring_up(self, name: str, version: int, folder: Path) -> None:
        self._tell(name, VersionStatus(version, State.LOADING))
        try:
            servable = self._load(name, version, folder)
        # Whatever is wrong with it, the other versions and models go on.
        except Exception as error:
            known = error if isinstance(error, ServingError) else None
            code = known.code if known else Code.INTERNAL
            message = known.message if known else f"{type(error).__name__}: {error}"
            note(f"model {name}, version {version}: cannot be served: {message}")
            self._tell(name, VersionStatus(version, State.END, code, message))
            return
        with self._lock:
            self._servables[name][version] = servable
            self._statuses[name][version] = VersionStatus(version, State.AVAILABLE)

    def _take_down(self, name: str, version: int) -> None:
        with self._lock:
            del self._servables[name][version]
            status = self._statuses[name][version]
            self._statuses[name][version] = replace(status, state=State.END)

    def _tell(self, name: str, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[name][status.version] = status


def _wanted(config: ModelConfig) -> set[int]:
    """The versions that are there and should be served."""
    try:
        children = list(config.base_path.iterdir())
    except OSError:
        return set()
    there = {
        int(child.name)
        for child in children
        if child.name.isascii() and child.name.isdecimal() and child.is_dir()
    }
    if config.versions:
        return there & set(config.versions)
    return set(sorted(there, reverse=True)[: config.latest])
