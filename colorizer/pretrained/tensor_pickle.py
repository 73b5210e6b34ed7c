"""The pickles of PyTorch's weights files, read without unpickling.

Python's unpickler runs whatever a file tells it to. Here a small machine follows the opcodes (see
`pickletools` of the standard library) instead: it knows those alone that a state dict of plain
tensors needs, and can build nothing but numbers, strings, tuples, lists, dicts and the stand-ins
below. It calls nothing that the file names.
"""

import io
import math
import pickle
import reprlib
from collections.abc import Callable
from typing import Any, NamedTuple

PICKLE_PROTOCOL = 2
MOST_AXES = 32


class Damaged(ValueError):
    """The file is not what it should be; the message says why."""


class Storage(NamedTuple):
    """Numbers that tensors are views of.

    Attributes:
        key: its name in the file.
        dtype: NumPy's name of its numbers' type.
        length: how many numbers it holds.
    """

    key: str
    dtype: str
    length: int


class Tensor(NamedTuple):
    """A view of a storage that stays within it.

    Attributes:
        storage: what it is a view of.
        offset: place of its first element.
        shape: its shape, without empty axes.
        strides: how many numbers lie between neighbours on each axis; 0 on axes of length 1.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Name(NamedTuple):
    """A name that the file mentions; nothing is behind it."""

    name: str


_MARK = object()
_ORDERED_DICT = _Name("collections.OrderedDict")
_REBUILD_TENSOR = _Name("torch._utils._rebuild_tensor_v2")
_DTYPES = {_Name("torch.FloatStorage"): "<f4", _Name("torch.LongStorage"): "<i8"}
_ADMITTED = frozenset({_ORDERED_DICT, _REBUILD_TENSOR, *_DTYPES})


def read_pickle(stream: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """Reads one pickle and leaves the stream behind its end.

    Returns:
        What the pickle describes, and the storages that it mentions, by their keys.

    Raises:
        Damaged: it is no pickle of plain tensors, dicts, lists, tuples, strings and integers.
    """
    machine = _Machine(stream)
    try:
        machine.run()
    except Damaged:
        raise
    # What the machine stumbles over in arbitrary bytes: no UTF-8, an empty stack, no such memo.
    except (ValueError, IndexError, KeyError) as error:
        reason = reprlib.repr(str(error))
        raise Damaged(f"damaged ({type(error).__name__}: {reason})") from error
    return machine.stack.pop(), machine.storages


class _Machine:
    """Follows the opcodes of one pickle and builds what they describe.

    Attributes:
        storages: the storages that it mentions, by their keys.
        stack: what is under construction.
    """

    def __init__(self, stream: io.BytesIO) -> None:
        self.storages: dict[str, Storage] = {}
        self.stack: list[Any] = []
        self._stream = stream
        self._memo: dict[int, Any] = {}

    def run(self) -> None:
        """Follows the opcodes to the end of the pickle, and leaves one object on the stack."""
        while (opcode := self.bytes(1)) != pickle.STOP:
            if opcode not in _OPERATIONS:
                name = reprlib.repr(opcode)
                raise Damaged(f"it uses the pickle opcode {name}, which tensors do not need")
            _OPERATIONS[opcode](self)
        if len(self.stack) != 1:
            raise Damaged("a pickle in it leaves more or less than one object")

    def bytes(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) != count:
            raise Damaged("it is cut off")
        return data

    def integer(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.bytes(size), "little", signed=signed)

    def push(self, item: Any) -> None:
        self.stack.append(item)

    def push_tuple(self, count: int) -> None:
        self.push(tuple([self.stack.pop() for _ in range(count)][::-1]))

    def remember(self, index: int) -> None:
        self._memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        self.push(self._memo[index])

    def protocol(self) -> None:
        protocol = self.integer(1)
        if protocol != PICKLE_PROTOCOL:
            raise Damaged(f"pickle protocol {protocol}, not {PICKLE_PROTOCOL}")

    def name(self) -> None:
        lines = [self._stream.readline() for _ in range(2)]
        name = _Name(b".".join(line.removesuffix(b"\n") for line in lines).decode())
        if name not in _ADMITTED:
            raise Damaged(f"it names {reprlib.repr(name.name)}, which tensors do not need")
        self.push(name)

    def since_mark(self) -> list[Any]:
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise Damaged("it appends to what is no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise Damaged("it sets items of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str) or key in target:
                raise Damaged("a key of a dict is no string, or comes twice")
            target[key] = value

    def build(self) -> None:
        """Drops the attributes of an object: a state dict's hold the versions of its layers."""
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise Damaged("it sets attributes of what is no dict")

    def persistent(self) -> None:
        storage = _storage(self.stack.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise Damaged(f"storage {reprlib.repr(storage.key)} is described in two ways")
        self.stack.append(storage)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if function == _ORDERED_DICT and arguments == ():
            self.stack.append({})
        elif function == _REBUILD_TENSOR:
            self.stack.append(_tensor(arguments))
        else:
            raise Damaged("it calls what is no function of tensors")


_OPERATIONS: dict[bytes, Callable[[_Machine], None]] = {
    pickle.PROTO: _Machine.protocol,
    pickle.GLOBAL: _Machine.name,
    pickle.NONE: lambda machine: machine.push(None),
    pickle.NEWTRUE: lambda machine: machine.push(True),
    pickle.NEWFALSE: lambda machine: machine.push(False),
    pickle.BININT: lambda machine: machine.push(machine.integer(4, signed=True)),
    pickle.BININT1: lambda machine: machine.push(machine.integer(1)),
    pickle.BININT2: lambda machine: machine.push(machine.integer(2)),
    pickle.LONG1: lambda machine: machine.push(machine.integer(machine.integer(1), signed=True)),
    pickle.BINUNICODE: lambda machine: machine.push(machine.bytes(machine.integer(4)).decode()),
    pickle.BINPUT: lambda machine: machine.remember(machine.integer(1)),
    pickle.LONG_BINPUT: lambda machine: machine.remember(machine.integer(4)),
    pickle.BINGET: lambda machine: machine.recall(machine.integer(1)),
    pickle.LONG_BINGET: lambda machine: machine.recall(machine.integer(4)),
    pickle.MARK: lambda machine: machine.push(_MARK),
    pickle.EMPTY_TUPLE: lambda machine: machine.push_tuple(0),
    pickle.TUPLE1: lambda machine: machine.push_tuple(1),
    pickle.TUPLE2: lambda machine: machine.push_tuple(2),
    pickle.TUPLE3: lambda machine: machine.push_tuple(3),
    pickle.TUPLE: lambda machine: machine.push(tuple(machine.since_mark())),
    pickle.EMPTY_LIST: lambda machine: machine.push([]),
    pickle.APPEND: lambda machine: machine.extend([machine.stack.pop()]),
    pickle.APPENDS: lambda machine: machine.extend(machine.since_mark()),
    pickle.EMPTY_DICT: lambda machine: machine.push({}),
    pickle.SETITEM: lambda machine: machine.set_items(
        [machine.stack.pop(), machine.stack.pop()][::-1]
    ),
    pickle.SETITEMS: lambda machine: machine.set_items(machine.since_mark()),
    pickle.BUILD: _Machine.build,
    pickle.BINPERSID: _Machine.persistent,
    pickle.REDUCE: _Machine.reduce,
}


def _storage(identity: Any) -> Storage:
    """Reads ("storage", type, key, device, count, None), as PyTorch names a storage."""
    if not isinstance(identity, tuple) or len(identity) != 6 or identity[0] != "storage":
        raise Damaged("it refers to what is no storage")
    _, kind, key, device, count, view = identity
    if not isinstance(kind, _Name) or kind not in _DTYPES or device != "cpu" or view is not None:
        raise Damaged("a storage of it is not plain float32 or int64 numbers on the CPU")
    if not isinstance(key, str) or not _whole((count,), least=0):
        raise Damaged("a storage of it has no key or no size")
    return Storage(key, _DTYPES[kind], count)


def _tensor(arguments: Any) -> Tensor:
    """Reads (storage, offset, shape, strides, requires_grad, hooks), all inside the storage."""
    if not isinstance(arguments, tuple) or len(arguments) != 6:
        raise Damaged("a tensor of it is not described by six things")
    storage, offset, shape, strides, gradient, hooks = arguments
    if not isinstance(storage, Storage) or not isinstance(gradient, bool) or hooks != {}:
        raise Damaged("a tensor of it has no storage, or has hooks")
    if not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise Damaged("a tensor of it has no shape or no strides")
    if len(shape) != len(strides) or len(shape) > MOST_AXES:
        raise Damaged("a tensor of it has a shape that does not go with its strides")
    if not (_whole((offset,), least=0) and _whole(shape, least=1) and _whole(strides, least=0)):
        raise Damaged("a tensor of it is empty or runs backwards")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # Strides of zero could make any number of elements out of one.
    if last >= storage.length or math.prod(shape) > storage.length:
        raise Damaged("a tensor of it reaches beyond its storage")
    # The stride of a single element says nothing, and may be any number.
    steps = tuple(stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
    return Tensor(storage, offset, shape, steps)


def _whole(numbers: tuple[Any, ...], *, least: int) -> bool:
    return all(type(number) is int and number >= least for number in numbers)
