"""PyTorch's legacy weights files, read without PyTorch and without unpickling.

`torch.save` before version 1.6 wrote five pickles one after another: a magic number, the protocol
version, facts about the machine, the saved object, and the list of its storages' keys; then each
storage as a count and its raw numbers. `tensor_pickle` says how the pickles are read safely.
"""

import io
import reprlib
from pathlib import Path

import numpy as np

from colorizer.pretrained.tensor_pickle import Damaged, Storage, Tensor, read_pickle
from pipelines.errors import ColorizerError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
ZIP_START = b"PK\x03\x04"
COUNT_BYTES = 8


def read_legacy_pth(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a state dict from a legacy `.pth` file. See `parse_legacy_pth`.

    Raises:
        ColorizerError: the file cannot be read, or is damaged or of another kind.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ColorizerError(f"{path}: {error.strerror or error}") from error
    return parse_legacy_pth(data, path)


def parse_legacy_pth(data: bytes, name: Path | str) -> dict[str, np.ndarray]:
    """Gives the tensors of a state dict, out of the bytes of a legacy `.pth` file.

    Args:
        data: the whole file: float32 and int64 tensors on the CPU, in little-endian order.
        name: what the file is called in messages.

    Returns:
        Read-only float32 and int64 arrays by their names, in the file's order. They are views of
        `data` with the strides of the file, so not all of them are contiguous.

    Raises:
        ColorizerError: the bytes are damaged, cut off, too long, or of another kind; or they name
            anything besides what such tensors need.
    """
    if data.startswith(ZIP_START):
        raise ColorizerError(f"{name}: is a zip file of newer PyTorch, not a legacy .pth file")
    try:
        return _parsed(data)
    except Damaged as error:
        raise ColorizerError(f"{name}: is no legacy .pth file that can be read: {error}") from error


def _parsed(data: bytes) -> dict[str, np.ndarray]:
    stream = io.BytesIO(data)
    (magic, _), (version, _), (system, _) = (read_pickle(stream) for _ in range(3))
    if magic != MAGIC:
        raise Damaged("does not begin with its magic number")
    if version != PROTOCOL:
        raise Damaged(f"protocol {reprlib.repr(version)}, not {PROTOCOL}")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Damaged("its numbers are not in little-endian order")
    (state, storages), (keys, _) = read_pickle(stream), read_pickle(stream)
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise Damaged("it holds more than a dict of tensors")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Damaged("it has no list of its storages")
    if sorted(keys) != sorted(storages):
        raise Damaged("its storages are not those that its tensors name")
    numbers = _storages(data, stream.tell(), [storages[key] for key in keys])
    return {name: _view(numbers[tensor.storage.key], tensor) for name, tensor in state.items()}


def _storages(data: bytes, position: int, storages: list[Storage]) -> dict[str, np.ndarray]:
    numbers = {}
    for storage in storages:
        count = int.from_bytes(data[position : position + COUNT_BYTES], "little", signed=True)
        position += COUNT_BYTES
        if position > len(data) or count != storage.length:
            raise Damaged(f"storage {reprlib.repr(storage.key)} is cut off or of another length")
        dtype = np.dtype(storage.dtype)
        if count * dtype.itemsize > len(data) - position:
            raise Damaged(f"storage {reprlib.repr(storage.key)} is cut off")
        numbers[storage.key] = np.frombuffer(data, dtype, count, position)
        position += count * dtype.itemsize
    if position != len(data):
        raise Damaged(f"{len(data) - position} bytes follow its last storage")
    return numbers


def _view(numbers: np.ndarray, tensor: Tensor) -> np.ndarray:
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, strides, writeable=False
    )
