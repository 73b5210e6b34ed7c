"""Photos coloured while others are read and written."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from colorizer.colorizing.pipeline import one_ahead


def test_the_next_item_is_made_while_one_is_in_hand():
    second_begun = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second_begun.set()
        yield 2

    with closing(one_ahead(items())) as ahead:
        assert next(ahead) == 1
        assert second_begun.wait(60)
        assert list(ahead) == [2]


def test_only_one_item_is_made_ahead():
    made = []

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    with closing(one_ahead(items())) as ahead:
        for number in ahead:
            assert len(made) <= number + 2
    assert made == list(range(5))


def test_what_goes_wrong_ahead_is_told_in_its_turn():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    ahead = one_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="the second"):
        next(ahead)


def test_a_consumer_that_stops_leaves_no_thread():
    with closing(one_ahead(iter(range(100)))) as ahead:
        assert next(ahead) == 0
    assert not [thread for thread in threading.enumerate() if "reading" in thread.name]
