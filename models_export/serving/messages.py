"""Protocol buffers described in Python, as far as they are heeded.

The package that has TensorFlow Serving's own (tensorflow-serving-api) is an extra, and needed for
nothing but its gRPC stubs.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Description = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _Description.TYPE_STRING,
    "bytes": _Description.TYPE_BYTES,
    "int64": _Description.TYPE_INT64,
    "uint32": _Description.TYPE_UINT32,
    "bool": _Description.TYPE_BOOL,
}


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        kind: "string", "bytes", "int64", "uint32", "bool", or the name of another message.
        number: its number on the wire; a file in text form has names only, and any will do.
        repeated: whether there may be several.
    """

    kind: str
    number: int
    repeated: bool = False


def message_class(name: str, messages: Mapping[str, Mapping[str, Field]]) -> Any:
    """Makes the class of one of the messages, which may hold the others."""
    package = "colorizer.serving"
    file = descriptor_pb2.FileDescriptorProto(name="messages.proto", package=package)
    file.syntax = "proto3"
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for title, (kind, number, repeated) in fields.items():
            label = _Description.LABEL_REPEATED if repeated else _Description.LABEL_OPTIONAL
            field = described.field.add(name=title, number=number, label=label)
            if kind in _TYPES:
                field.type = _TYPES[kind]
            else:
                field.type = _Description.TYPE_MESSAGE
                field.type_name = f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
