"""The sockets that web processes share: one port, several queues, and nobody else on it unnoticed."""

import contextlib
import select
import socket
import sys
from collections.abc import Iterator

import pytest

from alertd.serve import listen
from alertd.supervisor import CannotStart
from tests.providers.thread import HOST

QUEUES = 4

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one queue")


@contextlib.contextmanager
def listening(queues: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(each) for each in listen(HOST, 0, queues=queues)]


@linux
def test_whoever_calls_waits_in_one_of_several_queues() -> None:
    with listening(QUEUES) as sockets, contextlib.ExitStack() as stack:
        (address,) = {each.getsockname() for each in sockets}
        for _ in range(100):
            stack.enter_context(socket.create_connection(address))
        waiting = dict.fromkeys(sockets, 0)
        while ready := select.select(sockets, [], [], 0)[0]:
            for each in ready:
                each.accept()[0].close()
                waiting[each] += 1
        assert sum(waiting.values()) == 100
        assert all(waiting.values())


@pytest.mark.parametrize("queues", [1, pytest.param(QUEUES, marks=linux)])
def test_a_second_one_on_the_same_port_is_told_that_it_is_taken(queues: int) -> None:
    with listening(queues) as sockets, pytest.raises(CannotStart, match="cannot listen on"):
        listen(HOST, sockets[0].getsockname()[1], queues=queues)
