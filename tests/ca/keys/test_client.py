"""The client's own part: what it does before the signer has been asked anything."""

import socket
from pathlib import Path
from threading import Timer

import pytest

from ca.errors import HSMUnavailable
from ca.keys import client
from ca.keys.client import SignerClient
from ca.sockets import socket_address


@pytest.fixture
def crowded(tmp_path: Path):
    """A listener whose backlog one connection fills."""
    path = tmp_path / "signer.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        yield path, listener


def test_a_full_backlog_is_waited_for(crowded) -> None:
    """connect(2) says EAGAIN at once, which is no signer that is gone."""
    path, listener = crowded
    accept = Timer(0.2, listener.accept)
    accept.start()
    with socket.socket(socket.AF_UNIX) as connection, socket_address(path) as address:
        connection.settimeout(10)
        client._connect(connection, address)
        assert connection.getpeername() == str(path)
    accept.join()


def test_a_backlog_that_stays_full_is_told_within_its_time(crowded) -> None:
    path, _ = crowded
    with pytest.raises(HSMUnavailable, match="cannot be reached"):
        SignerClient(path, timeout=0.2).health()
