"""Arrays cross the socket as they are, and nothing else gets through."""

import json
import socket
import struct
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from audits.models import frames
from audits.models.frames import ClosedError, Frame, FrameError


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def across(frame: Frame) -> Frame:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = threading.Thread(target=frames.send, args=(ours, frame))
        sender.start()
        received = frames.receive(theirs)
        sender.join()
    return received


numeric = st.sampled_from(sorted(frames.DTYPES)).flatmap(
    lambda dtype: np_st.arrays(dtype, np_st.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


@given(st.dictionaries(st.text(max_size=5), numeric, max_size=3))
def test_numbers_arrive_bit_for_bit(arrays) -> None:
    received = across(Frame({"kind": "x"}, arrays))

    assert received.header == {"kind": "x"}
    assert list(received.arrays) == list(arrays)
    for name, array in arrays.items():
        assert received.arrays[name].shape == array.shape
        assert received.arrays[name].dtype == array.dtype
        assert received.arrays[name].tobytes() == array.tobytes()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=10))
def test_texts_arrive(texts: list[str]) -> None:
    received = across(Frame({}, {"t": np.array(texts, dtype=object).reshape(-1, 1)}))

    assert received.arrays["t"].shape == (len(texts), 1)
    assert received.arrays["t"].ravel().tolist() == texts


def test_other_memory_layouts_arrive() -> None:
    x = np.arange(6, dtype=">f4").reshape(2, 3).T

    assert across(Frame({}, {"x": x})).arrays["x"].tolist() == x.tolist()


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    received = across(Frame({}, {"t": np.array([b"a\xff"], dtype=object)}))

    assert received.arrays["t"].tolist() == ["a\N{REPLACEMENT CHARACTER}"]


def test_received_arrays_may_be_written_to() -> None:
    x = across(Frame({}, {"x": np.zeros(3)})).arrays["x"]
    x[0] = 1

    assert x[0] == 1


def test_objects_other_than_text_are_not_sent(pair) -> None:
    with pytest.raises(FrameError, match="complex"):
        frames.send(pair[0], Frame({}, {"x": np.zeros(3, dtype=complex)}))


@pytest.mark.parametrize("part", [b"", b"\x10\0", b"\x10\0\0\0{}"])
def test_an_end_in_the_middle_is_noticed(pair, part: bytes) -> None:
    ours, theirs = pair
    ours.sendall(part)
    ours.close()

    with pytest.raises(ClosedError):
        frames.receive(theirs)


def test_writing_to_nobody_is_noticed(pair) -> None:
    ours, theirs = pair
    theirs.close()

    with pytest.raises(ClosedError):
        frames.send(ours, Frame({}))


def raw(header: object, body: bytes = b"") -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<I", len(encoded)) + encoded + body


def listed(**changed: object) -> dict:
    return {"header": {}, "arrays": [{"name": "x", "dtype": "float32", "shape": [2], "bytes": 8} | changed]}


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("<I", 2**31),
        raw(b"\xff\xff"),
        raw(b"[" * 100_000),
        raw([]),
        raw({"header": {}}),
        raw({"header": [], "arrays": []}),
        raw(listed(dtype="object"), b"12345678"),
        raw(listed(dtype="U1"), b"12345678"),
        raw(listed(dtype=None), b"12345678"),
        raw(listed(name=3), b"12345678"),
        raw(listed(shape=[3]), b"12345678"),
        raw(listed(shape=[-2]), b"12345678"),
        raw(listed(shape=[2.0]), b"12345678"),
        raw(listed(shape=[2] + [1] * 40), b"12345678"),
        raw(listed(bytes=2**40, shape=[2**38])),
        raw(listed(dtype="string", bytes=7), b"1234567"),
        raw(listed(dtype="string", bytes=9), struct.pack("<II", 5, 0) + b"x"),
    ],
)
def test_nonsense_is_refused_before_memory_is_taken(pair, sent: bytes) -> None:
    ours, theirs = pair
    threading.Thread(target=ours.sendall, args=(sent,), daemon=True).start()

    with pytest.raises(FrameError) as caught:
        frames.receive(theirs)
    assert not isinstance(caught.value, ClosedError)


def test_arrays_beyond_the_limit_are_refused(pair) -> None:
    ours, theirs = pair
    frames.send(ours, Frame({}, {"x": np.zeros(100)}))

    with pytest.raises(FrameError, match="larger"):
        frames.receive(theirs, max_array_bytes=799)
