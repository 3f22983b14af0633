"""Changes a protobuf as a message, not as bytes: most changed bytes are no message any more."""

import random
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import DecodeError, Message

NUMBERS = (0, 1, -1, 2, 7, 2**31 - 1, -(2**31), 2**62, 2**63 - 1, -(2**63))
TEXTS = ("", "x", "a:0", ":", "^a", "a:-1", "../a", "/", "\0", "é" * 40, "serving_default", "serve", "n" * 5_000)
MAX_CHANGES = 4


def changed(content: bytes, kind: type[Message], seed: int) -> bytes | None:
    """The message with some of its fields changed; None where the bytes are none."""
    rng = random.Random(seed)
    message = kind()
    try:
        message.ParseFromString(content)
    except DecodeError:
        return None
    for _ in range(rng.randrange(1, MAX_CHANGES + 1)):
        _change(rng.choice(list(_below(message))), rng)
    return message.SerializeToString()


def _below(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.type != Field.TYPE_MESSAGE:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = value.values() if field.message_type.fields_by_name["value"].type == Field.TYPE_MESSAGE else ()
        else:
            inner = value if field.is_repeated else (value,)
        for one in inner:
            yield from _below(one)


def _change(message: Message, rng: random.Random) -> None:
    field = rng.choice(message.DESCRIPTOR.fields)
    value = getattr(message, field.name)
    if field.type == Field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
        _change_map(value, field, rng)
    elif field.is_repeated:
        _change_list(value, field, rng)
    elif rng.random() < 0.3:
        message.ClearField(field.name)
    elif field.type == Field.TYPE_MESSAGE:
        value.SetInParent()
    else:
        setattr(message, field.name, _scalar(field, value, rng))


def _change_map(value: Any, field: Any, rng: random.Random) -> None:
    keys = sorted(value)
    inner = field.message_type.fields_by_name["value"]
    if keys and rng.random() < 0.5:
        del value[rng.choice(keys)]
    elif inner.type == Field.TYPE_MESSAGE:
        value[rng.choice(TEXTS)].CopyFrom(value[rng.choice(keys)] if keys else value[""])
    else:
        value[rng.choice(TEXTS)] = _scalar(inner, value[keys[0]] if keys else "", rng)


def _change_list(value: Any, field: Any, rng: random.Random) -> None:
    action = rng.randrange(3)
    if action == 0 and len(value):
        del value[rng.randrange(len(value))]
    elif field.type == Field.TYPE_MESSAGE:
        copied = value[rng.randrange(len(value))] if len(value) else None
        made = value.add()
        if copied is not None:
            made.CopyFrom(copied)
    elif action == 1 and len(value):
        place = rng.randrange(len(value))
        value[place] = _scalar(field, value[place], rng)
    else:
        value.append(_scalar(field, value[0] if len(value) else None, rng))


def _scalar(field: Any, value: Any, rng: random.Random) -> Any:
    if field.type == Field.TYPE_STRING:
        return rng.choice(TEXTS)
    if field.type == Field.TYPE_BYTES:
        return rng.choice((b"", b"\xff" * 9, bytes(rng.randrange(256) for _ in range(rng.randrange(40)))))
    if field.type == Field.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type in {Field.TYPE_FLOAT, Field.TYPE_DOUBLE}:
        return rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e300 if field.type == Field.TYPE_DOUBLE else 1e30))
    number = rng.choice((*NUMBERS, rng.randrange(64)))
    return max(-(2**31), min(2**31 - 1, number)) if field.type == Field.TYPE_INT32 else number
