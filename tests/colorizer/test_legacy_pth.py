import pickle
import struct
import time
from collections import OrderedDict

import numpy as np
import pytest
from damaged_files import damaged
from hypothesis import given
from imagenet_weights import installed_weights

from colorizer.pretrained.legacy_pth import MAGIC, parse_legacy_pth, read_legacy_pth
from pipelines.errors import ColorizerError

# The opcodes of pickle protocol 2, put together by hand as PyTorch's `save` writes them.
START, END = b"\x80\x02", b"."
NONE, TRUE, FALSE = b"N", b"\x88", b"\x89"
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
SYSTEM = START + b"}(" + b"X\x0d\0\0\0little_endian" + TRUE + b"u" + END


def integer(number: int) -> bytes:
    encoded = pickle.encode_long(number)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def text(string: str) -> bytes:
    return b"X" + struct.pack("<I", len(string.encode())) + string.encode()


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def integers(numbers) -> bytes:
    return tuple_of(*map(integer, numbers))


def storage(key: str, kind: str, count: int, device: str = "cpu", view: bytes = NONE) -> bytes:
    described = text("storage"), b"ctorch\n" + kind.encode() + b"\n", text(key), text(device)
    return tuple_of(*described, integer(count), view) + b"Q"


def tensor(stored: bytes, shape, strides, offset: int = 0, hooks: bytes = ORDERED_DICT) -> bytes:
    arguments = stored, integer(offset), integers(shape), integers(strides), FALSE, hooks
    return REBUILD + tuple_of(*arguments) + b"R"


def state_dict(tensors: dict[str, bytes]) -> bytes:
    items = b"".join(text(name) + described for name, described in tensors.items())
    metadata = ORDERED_DICT + text("_bn0") + b"}" + text("version") + integer(2) + b"ss"
    return ORDERED_DICT + b"(" + items + b"u}" + text("_metadata") + metadata + b"sb"


def legacy_file(
    state: bytes,
    storages: dict[str, np.ndarray],
    *,
    magic: bytes = integer(MAGIC),
    protocol: bytes = integer(1001),
    system: bytes = SYSTEM,
    keys: bytes | None = None,
) -> bytes:
    if keys is None:
        keys = b"](" + b"".join(map(text, storages)) + b"e"
    pickles = (START + part + END for part in (magic, protocol, system[2:-1], state, keys))
    numbers = (struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return b"".join(pickles) + b"".join(numbers)


FLOATS = np.arange(24, dtype="<f4")
COUNTS = np.array([7, 2**40], "<i8")


def example() -> bytes:
    floats, counts = storage("11", "FloatStorage", 24), storage("12", "LongStorage", 2)
    tensors = {
        "plain.weight": tensor(floats, (2, 3, 4), (12, 4, 1)),
        "turned.weight": tensor(floats, (4, 3, 2), (1, 4, 12)),
        "part.weight": tensor(floats, (2, 2), (8, 3), offset=9),
        "single.weight": tensor(floats, (24, 1), (1, 2**70)),
        "steps": tensor(counts, (), (), offset=1),
    }
    return legacy_file(state_dict(tensors), {"11": FLOATS, "12": COUNTS})


def one_tensor(described: bytes, numbers: np.ndarray = FLOATS) -> bytes:
    return legacy_file(state_dict({"weight": described}), {"1": numbers})


def test_tensors_have_the_shapes_and_strides_of_the_file(tmp_path):
    path = tmp_path / "example.pth"
    path.write_bytes(example())
    tensors = read_legacy_pth(path)
    assert " ".join(tensors) == "plain.weight turned.weight part.weight single.weight steps"
    plain = FLOATS.reshape(2, 3, 4)
    np.testing.assert_array_equal(tensors["plain.weight"], plain)
    np.testing.assert_array_equal(tensors["turned.weight"], plain.transpose(2, 1, 0))
    np.testing.assert_array_equal(tensors["part.weight"], [[9, 12], [17, 20]])
    np.testing.assert_array_equal(tensors["single.weight"], FLOATS[:, None])
    assert tensors["steps"] == 2**40 and tensors["steps"].dtype == np.int64
    assert tensors["plain.weight"].dtype == np.float32
    assert not tensors["turned.weight"].flags.writeable


class Described(OrderedDict):
    """What Python's own unpickler makes of the names that a weights file may mention."""


class OracleUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        known = {
            "OrderedDict": Described,
            "_rebuild_tensor_v2": lambda *arguments: arguments,
            "FloatStorage": np.dtype("<f4"),
            "LongStorage": np.dtype("<i8"),
        }
        return known[name]

    def persistent_load(self, identity: tuple):
        return identity


@pytest.mark.parametrize("variant", ["lite0", "lite1", "lite2"])
def test_real_files_read_as_pickle_reads_them(variant):
    path = installed_weights(variant)
    tensors = read_legacy_pth(path)
    with path.open("rb") as file:
        *_, described, keys = (OracleUnpickler(file).load() for _ in range(5))
        storages = {}
        dtypes = {item[0][2]: item[0][1] for item in described.values()}
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            storages[key] = np.fromfile(file, dtypes[key], count)
    assert list(tensors) == list(described)
    for name, (stored, offset, shape, strides, *_) in described.items():
        # Element by element, at a few places: offset + the dot product of index and strides.
        for share in (0.0, 0.3, 0.77, 1.0):
            index = tuple(int(share * (size - 1)) for size in shape)
            place = offset + sum(i * stride for i, stride in zip(index, strides, strict=True))
            assert tensors[name].shape == shape
            assert tensors[name][index] == storages[stored[2]][place], name


@pytest.mark.parametrize(
    ("called", "named"),
    [
        (b"cposix\nsystem\n", "posix.system"),
        (b"cos\nsystem\n", "os.system"),
        (b"cbuiltins\neval\n", "builtins.eval"),
        (b"ctorch\nload\n", "torch.load"),
        (b"ctorch._utils\n_rebuild_tensor_v3\n", "torch._utils._rebu"),
    ],
)
@pytest.mark.parametrize("place", ["magic", "protocol", "system", "state", "keys"])
def test_runs_nothing_that_a_file_names(called, named, place, tmp_path):
    marker = tmp_path / "ran"
    evil = called + tuple_of(text(f"touch {marker}")) + b"R"
    parts = {"state": state_dict({}), "storages": {}, place: evil}
    if place == "system":
        parts[place] = START + evil + END
    with pytest.raises(ColorizerError, match=r"evil\.pth: .* names '") as caught:
        parse_legacy_pth(legacy_file(**parts), "evil.pth")
    assert named[:9] in str(caught.value)
    assert not marker.exists()


def test_the_evil_file_would_run_under_pickle(tmp_path):
    marker = tmp_path / "ran"
    evil = START + b"cos\nsystem\n" + tuple_of(text(f"touch {marker}")) + b"R" + END
    assert pickle.loads(evil) == 0 and marker.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"(ios\nsystem\n",
        b"(cos\nsystem\no",
        b"ccollections\nOrderedDict\n)\x81",
        b"\x82\x01",
        b"\x80\x04\x95\0\0\0\0\0\0\0\0",
        b"G\0\0\0\0\0\0\0\0",
        b"B\x01\0\0\0a",
        b"Pstorage\n",
        b"K\x012",
        b"\x8f",
    ],
    ids=["INST", "OBJ", "NEWOBJ", "EXT1", "protocol", "float", "bytes", "PERSID", "DUP", "set"],
)
def test_refuses_what_tensors_do_not_need(opcodes):
    with pytest.raises(ColorizerError, match=r"x\.pth: "):
        parse_legacy_pth(legacy_file(opcodes, {}), "x.pth")


FULL = storage("1", "FloatStorage", 24)


@pytest.mark.parametrize(
    "described",
    [
        tensor(FULL, (5, 5), (5, 1)),
        tensor(FULL, (24,), (1,), offset=1),
        tensor(FULL, (2, 3), (23, 1)),
        tensor(FULL, (2,), (-1,), offset=4),
        tensor(FULL, (2,), (1,), offset=-1),
        tensor(FULL, (-2,), (1,)),
        tensor(FULL, (2**62, 2**62), (0, 0)),
        tensor(FULL, (25,), (0,)),
        tensor(FULL, (2, 3), (1,)),
        tensor(FULL, (0,), (1,)),
        tensor(FULL, (2,), (2**80,)),
        tensor(FULL, (1,) * 65, (1,) * 65),
        tensor(FULL, (2,), (1,), hooks=ORDERED_DICT + text("a") + NONE + b"s"),
        tensor(storage("1", "FloatStorage", 25), (2,), (1,)),
        tensor(storage("1", "FloatStorage", 2**62), (2,), (1,)),
        tensor(storage("1", "FloatStorage", -24), (2,), (1,)),
        tensor(storage("1", "LongStorage", 24), (2,), (1,)),
        tensor(storage("1", "HalfStorage", 24), (2,), (1,)),
        tensor(storage("1", "FloatStorage", 24, device="cuda:0"), (2,), (1,)),
        tensor(storage("1", "FloatStorage", 24, view=integers((1, 2))), (2,), (1,)),
        tensor(text("no storage"), (2,), (1,)),
        REBUILD + b")R",
        text("no tensor"),
    ],
)
def test_refuses_tensors_that_do_not_fit_their_storage(described):
    with pytest.raises(ColorizerError, match=r"x\.pth: is no legacy"):
        parse_legacy_pth(one_tensor(described), "x.pth")


def test_refuses_files_that_contradict_themselves():
    good = tensor(FULL, (2,), (1,))
    other = tensor(storage("1", "LongStorage", 24), (2,), (1,))
    for data, reason in (
        (legacy_file(state_dict({"a": good, "b": other}), {"1": FLOATS}), "described in two ways"),
        (legacy_file(state_dict({"a": good}), {}), "not those that its tensors name"),
        (legacy_file(state_dict({"a": good}), {"1": FLOATS, "2": FLOATS}), "not those"),
        (legacy_file(state_dict({"a": good}), {"1": FLOATS}, keys=b"](KKe"), "no list of its"),
        (one_tensor(good) + b"\0", "1 bytes follow"),
        (legacy_file(good, {"1": FLOATS}), "more than a dict of tensors"),
        (legacy_file(state_dict({}), {}, magic=integer(1)), "magic number"),
        (legacy_file(state_dict({}), {}, protocol=integer(1002)), "protocol"),
        (legacy_file(state_dict({}), {}, system=SYSTEM.replace(TRUE, FALSE)), "little-endian"),
        (b"PK\x03\x04 and more", "zip file of newer PyTorch"),
        (b"", "cut off"),
        (START + b"R.", "damaged .IndexError"),
        (START + b"h\0.", "damaged .KeyError"),
        (START + b"X\x01\0\0\0\xff.", "damaged .UnicodeDecodeError"),
        (START + b"NN.", "more or less than one object"),
        (START + b"K\x01K", "cut off"),
        (START + b"NNa.", "what is no list"),
        (START + b"NNNs.", "what is no dict"),
        (START + b"](e." * 3, "magic number"),
        (START + b"NNb.", "attributes of what is no dict"),
    ):
        with pytest.raises(ColorizerError, match=reason):
            parse_legacy_pth(data, "x.pth")


def test_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(ColorizerError, match=r"none\.pth: No such file"):
        read_legacy_pth(tmp_path / "none.pth")


def test_every_truncation_is_refused_in_one_line():
    data = example()
    for length in range(len(data)):
        with pytest.raises(ColorizerError) as caught:
            parse_legacy_pth(data[:length], "x.pth")
        message = str(caught.value)
        assert "\n" not in message and len(message) < 300


def test_damaged_bytes_never_raise_anything_else():
    data, generator = example(), np.random.default_rng(0)
    refused = 0
    for place in range(len(data) - FLOATS.nbytes - COUNTS.nbytes):
        for byte in {data[place] ^ 1, data[place] ^ 0x80, *generator.integers(256, size=2)}:
            damaged = data[:place] + bytes([byte]) + data[place + 1 :]
            try:
                parse_legacy_pth(damaged, "x.pth")
            except ColorizerError as error:
                refused += 1
                assert "\n" not in str(error)
    assert refused > 1000


def test_a_small_file_cannot_ask_for_much():
    """Memo entries far apart, and tuples that double: each stops other readers for good."""
    far = b"Nr\xff\xff\xff\xff" + b"0"
    doubling = integer(1) + b"".join(
        b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(99)
    )
    started = time.monotonic()
    for part in (far, doubling):
        for place in ("magic", "protocol", "state", "keys"):
            with pytest.raises(ColorizerError):
                parse_legacy_pth(
                    legacy_file(**{"state": state_dict({}), "storages": {}, place: part}), "x.pth"
                )
    assert time.monotonic() - started < 5


def test_names_come_once():
    good = tensor(FULL, (2,), (1,))
    twice = ORDERED_DICT + b"".join(text("a") + good + b"s" for _ in range(2))
    with pytest.raises(ColorizerError, match="comes twice"):
        parse_legacy_pth(legacy_file(twice, {"1": FLOATS}), "x.pth")


@given(damaged([example()]))
def test_whatever_is_damaged_is_read_or_refused(content):
    try:
        tensors = parse_legacy_pth(content, "damaged.pth")
    except ColorizerError as error:
        assert str(error).startswith("damaged.pth: is ")
    else:
        assert all(np.isfinite(tensor.shape).all() for tensor in tensors.values())
