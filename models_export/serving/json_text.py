"""JSON as TensorFlow Serving's parser, RapidJSON, takes it, and values in its messages."""

import json
import re
from typing import Any

from models_export.serving.statuses import invalid

Json = Any

# What is shown of a value in a message.
_SHOWN_BYTES = 256
_INDENT = " " * 4

# RapidJSON's words for what Python's parser says. Its commas are told apart by where they lack.
_WORDS = (
    ("Expecting value", "Invalid value."),
    ("Expecting property name", "Missing a name for object member."),
    ("Illegal trailing comma before end of object", "Missing a name for object member."),
    ("Illegal trailing comma before end of array", "Invalid value."),
    ("Expecting ':' delimiter", "Missing a colon after a name of object member."),
    ("Unterminated string", "Missing a closing quotation mark in string."),
    ("Invalid control character", "Invalid encoding in string."),
    ("Invalid \\escape", "Invalid escape character in string."),
    ("Invalid \\uXXXX escape", "Incorrect hex digit after \\u escape in string."),
)
_COMMA = "Expecting ',' delimiter"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonObject(dict[str, Json]):
    """An object; of members with one name the first counts, as RapidJSON finds it."""

    def __init__(self, pairs: list[tuple[str, Json]]) -> None:
        super().__init__(reversed(pairs))


def parse_object(body: bytes) -> JsonObject:
    """Parses the JSON object at the start of a request's body; what follows it is passed over.

    NaN, Infinity and -Infinity are numbers.

    Raises:
        ServingError: there is none, or it is something else than an object.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _parse_error("Invalid encoding in string.", error.start) from None
    start = len(text) - len(text.lstrip(" \t\r\n"))
    if start == len(text):
        raise _parse_error("The document is empty.", len(body))
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        offset = len(text[: error.pos].encode())
        raise _parse_error(_in_their_words(error, text), offset) from None
    except RecursionError:
        raise invalid("JSON Parse error: Terminate parsing due to Handler error.") from None
    except ValueError:
        # Python refuses integers of more than 4,300 digits.
        raise _parse_error("Number too big to be stored in double.", 0) from None
    if not isinstance(value, JsonObject):
        raise invalid(f"JSON Value: {shown(value)} Is not object")
    return value


def shown(value: Json) -> str:
    """Gives a value as messages show it: laid out, lists on one line, cut off at 256 bytes."""
    pieces: list[str] = []
    _write(value, 0, _Budget(pieces))
    return "".join(pieces)


def type_name(value: Json) -> str:
    """Gives RapidJSON's name of a value's type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    for kind, name in ((JsonObject, "Object"), (list, "Array"), (str, "String")):
        if isinstance(value, kind):
            return name
    return "Number"


def utf8(text: str) -> bytes:
    """Encodes a string of a request.

    Raises:
        ServingError: it holds half of a surrogate pair.
    """
    if _LONE_SURROGATE.search(text):
        raise invalid("JSON Parse error: The surrogate pair in string is invalid.")
    return text.encode()


_DECODER = json.JSONDecoder(object_pairs_hook=JsonObject)


def _parse_error(words: str, offset: int) -> Exception:
    return invalid(f"JSON Parse error: {words} at offset: {offset}")


def _in_their_words(error: json.JSONDecodeError, text: str) -> str:
    if error.msg.startswith(_COMMA):
        return _missing_comma(text[: error.pos])
    for ours, theirs in _WORDS:
        if error.msg.startswith(ours):
            return theirs
    return "Unspecific syntax error."


def _missing_comma(before: str) -> str:
    """Whether a comma lacks in an object or in a list: what was opened last is still open."""
    open_brackets = []
    for bracket in re.sub(r'"(?:[^"\\]|\\.)*"', "", before):
        if bracket in "{[":
            open_brackets.append(bracket)
        elif bracket in "}]" and open_brackets:
            open_brackets.pop()
    if open_brackets and open_brackets[-1] == "{":
        return "Missing a comma or } after an object member."
    return "Missing a comma or ] after an array element."


class _Budget:
    """Takes pieces of text until there are enough."""

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces
        self._left = _SHOWN_BYTES

    def add(self, piece: str) -> bool:
        if self._left <= 0:
            return False
        self._pieces.append(piece)
        self._left -= len(piece.encode(errors="replace"))
        return True


def _write(value: Json, depth: int, budget: _Budget) -> bool:
    if isinstance(value, list):
        return _write_list(value, depth, budget)
    if isinstance(value, JsonObject):
        return _write_object(value, depth, budget)
    text = json.dumps(value, ensure_ascii=False)
    return budget.add(text)


def _write_list(items: list[Json], depth: int, budget: _Budget) -> bool:
    if not budget.add("["):
        return False
    for number, item in enumerate(items):
        if number and not budget.add(", "):
            return False
        if not _write(item, depth, budget):
            return False
    return budget.add("]")


def _write_object(members: JsonObject, depth: int, budget: _Budget) -> bool:
    if not budget.add("{"):
        return False
    inside = "\n" + _INDENT * (depth + 1)
    # As they came: JsonObject keeps them from the last to the first.
    for number, (name, value) in enumerate(reversed(members.items())):
        key = f"{',' if number else ''}{inside}{json.dumps(name, ensure_ascii=False)}: "
        if not budget.add(key) or not _write(value, depth + 1, budget):
            return False
    return budget.add(f"\n{_INDENT * depth}}}" if members else "}")
