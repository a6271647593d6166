"""HAProxy's socket when it is not there or says what nobody expects; what a real one does is in tests/interop."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ca.errors import Unavailable
from ca.targets import haproxy, items
from ca.targets.haproxy import HAProxy
from tests.ca.targets.conftest import NOW, SHA1, Desk, answered, published

HELD = f"""\
# Certificate IDs
  Certificate ID key : 303b
    Certificate ID:
      Issuer Name Hash: {SHA1.name_hash.hex().upper()}
      Issuer Key Hash: {SHA1.key_hash.hex().upper()}
      Serial Number: 0A1B2C3D4E5F
""".encode()


@contextmanager
def saying(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """Something at that socket that gives these answers, one a connection; yields the commands that it got."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for said in answers:
                with listener.accept()[0] as connection:
                    heard.append(connection.recv(65536))
                    connection.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        yield heard


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.mark.parametrize(("uptime", "kept"), [(10, False), (11, False), (9, False), (12, True)])
def test_one_that_was_started_after_it_was_told_has_forgotten(path: Path, uptime: int, kept: bool) -> None:
    with saying(path, f"Name: HAProxy\nUptime_sec: {uptime}\n".encode()):
        assert HAProxy(path, lambda: NOW).holds(NOW - 11) == kept


def test_it_is_told_of_its_own_certificates_alone(path: Path) -> None:
    with saying(path, HELD, b"OCSP Response updated!\n\n") as heard:
        HAProxy(path, lambda: NOW).send(list(items(answered(b"\x30\x01\x07"))))
    assert heard == [b"show ssl ocsp-response\n", b"set ssl ocsp-response <<\nMAEH\n\n"]
    path.unlink()
    with saying(path, b"# Certificate IDs\n") as heard:
        HAProxy(path, lambda: NOW).send(list(items(answered(b"\x30\x01\x07"))))
    assert len(heard) == 1


def test_one_that_begins_is_told_of_its_own_without_a_look_at_every_row(
    path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.put(*(published(f"crl/issuing-g1/{n:04x}.crl") for n in range(9)), answered(b"\x30\x01\x07"))
    read: list[int] = []
    after = desk.store.after
    monkeypatch.setattr(desk.store, "after", lambda seq, limit: read.append(seq) or after(seq, limit))
    haproxy = HAProxy(path, lambda: NOW)
    with saying(path, HELD, HELD, b"OCSP Response updated!\n\n") as heard:
        state = desk.feed(haproxy)
    assert (state.seq, state.failures) == (desk.store.last_seq(), 0)
    assert heard[-1].endswith(b"MAEH\n\n")
    assert read == [desk.store.last_seq()]


@pytest.mark.parametrize("said", [b"OCSP single response: no longer valid.\n", b"", b"\xff\x1b[2J"])
def test_what_it_refuses_is_said(path: Path, said: bytes) -> None:
    with saying(path, HELD, said), pytest.raises(Unavailable, match=r"HAProxy at .*: for a1b2c3d4e5f: ") as refused:
        HAProxy(path, lambda: NOW).send(list(items(answered())))
    assert "\x1b" not in str(refused.value)


def test_one_that_is_not_there_or_is_none_is_said(path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        HAProxy(path, lambda: NOW).holds(NOW)
    with saying(path, b"Permission denied\n"), pytest.raises(Unavailable, match="for how long"):
        HAProxy(path, lambda: NOW).holds(NOW)


def test_one_that_hangs_is_waited_for_in_vain(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haproxy, "SECONDS", 0.2)
    with saying(path), pytest.raises(Unavailable, match="timed out"):
        HAProxy(path, lambda: NOW).holds(NOW)
