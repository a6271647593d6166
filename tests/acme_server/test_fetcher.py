"""The fetcher as a process: its socket, its bounds, its end."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from acme_server.crew import Crew
from acme_server.validation import fetcher, wire
from acme_server.validation.causes import Cause
from acme_server.validation.fetch import Fetch
from acme_server.validation.http01 import KIND, question
from acme_server.validation.proof import Proof, judge
from acme_server.validation.trail import Trail
from ca.config import Config
from ca.errors import ConfigError, Conflict
from ca.records import Name, NameKind
from ca.sockets import socket_address
from tests.acme_server import net

pytestmark = pytest.mark.slow

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
ASKED = Proof(Name(NameKind.DNS, "demo.localhost"), TOKEN, "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI")
EXPECTED = ASKED.key_authorization
QUESTION = question(ASKED, 5.0)


@dataclass
class Running:
    """A fetcher process and how to ask it."""

    process: "subprocess.Popen[bytes]"
    path: Path

    def ask(self, asked: wire.Question = QUESTION) -> wire.Answer:
        return wire.ask(self.path, asked)


def _configure(folder: Path, http_port: int, concurrency: int = 64) -> Path:
    file = folder / "certwright.toml"
    lines = ('mode = "demo"', "[acme.validation]", f"http_port = {http_port}", f"concurrency = {concurrency}",
             'socket = "run/fetcher.sock"')  # fmt: skip
    file.write_text("\n".join(lines))
    return file


def _start(folder: Path, http_port: int, concurrency: int = 64) -> Running:
    file = _configure(folder, http_port, concurrency)
    command = [sys.executable, "-m", "acme_server.validation.fetcher", "--config", str(file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    running = Running(process, folder / "run" / "fetcher.sock")
    for _ in range(600):
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError), socket_address(running.path) as address:
            probe.connect(address)
            return running
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)
    raise AssertionError("the fetcher does not listen")


@pytest.fixture(scope="module")
def site() -> Iterator[net.Site]:
    with net.site(net.page(EXPECTED.encode())) as one:
        yield one


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, site: net.Site) -> Iterator[Running]:
    """Its socket has a path that is too long for an address (sockaddr_un holds 108 octets)."""
    one = _start(tmp_path_factory.mktemp("fetcher" + "-in-a-folder-with-a-long-name" * 4), site.port)
    yield one
    one.process.terminate()
    assert one.process.wait(5) == 0
    assert not one.path.exists()


def test_a_question_gets_its_answer(running: Running) -> None:
    answer = running.ask()
    assert judge(KIND, answer, ASKED).error == ""
    assert answer.trail


def test_it_opens_neither_database_nor_keys(running: Running) -> None:
    """What the process has loaded and opened: no SQL, no PKCS#11, no Flask, no file of the authority."""
    maps = Path(f"/proc/{running.process.pid}/maps").read_text()
    files = {os.readlink(one) for one in Path(f"/proc/{running.process.pid}/fd").iterdir()}
    assert "pkcs11" not in maps
    assert "_sqlite3" not in maps
    assert not [one for one in files if "sqlite" in one]
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, acme_server.validation.fetcher; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert not {"flask", "peewee", "pkcs11", "josepy", "psycopg"} & set(loaded)


def test_the_socket_is_for_owner_and_group(running: Running) -> None:
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o660


BAD_QUESTIONS: dict[str, dict[str, object]] = {
    "path in the token": {"token": "../../api/v1/certificates"},
    "short token": {"token": "abc"},
    "query in the token": {"token": TOKEN + "?x=1"},
    "line break in the token": {"token": TOKEN + "\r\nX: y"},
    "path in the name": {"value": "demo.localhost/admin"},
    "port in the name": {"value": "demo.localhost:22"},
    "wildcard": {"value": "*.localhost"},
    "address as a name": {"value": "127.0.0.1"},
    "uri": {"kind": "uri", "value": "spiffe://td/a"},
    "unknown kind": {"kind": "email", "value": "a@b.test"},
    "unknown question": {"type": "file"},
    "text of any name": {"type": "text", "label": "www"},
    "text of another name": {"type": "text", "label": "_acme-challenge.other.test.x"},
    "text of an account that is none": {"type": "text", "label": "_UJMMOVF2VN55TGYE._acme-challenge"},
    "authority of an address": {"type": "authority", "value": "127.0.0.1"},
    "handshake with a wildcard": {"type": "handshake", "value": "*.localhost"},
    "text of an address": {"type": "text", "label": "_acme-challenge", "value": "127.0.0.1"},
}


@pytest.mark.parametrize("change", BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_only_challenges_are_fetched_whoever_asks(running: Running, site: net.Site, change: dict[str, object]) -> None:
    before = len(site.requests)
    raw = json.dumps({**msgspec.to_builtins(QUESTION), **change}).encode()
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(5)
        with socket_address(running.path) as address:
            channel.connect(address)
        wire.send(channel, raw)
        with pytest.raises(EOFError):
            wire.receive(channel)
    assert len(site.requests) == before


@pytest.mark.parametrize("junk", [b"", b"\0", b"\xff" * 100, b"\0\0\0\2{}", b"\0\0\0\4null", b"\0\xff\xff\xff"])
def test_junk_ends_its_own_connection_alone(running: Running, junk: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as channel:
        with socket_address(running.path) as address:
            channel.connect(address)
        channel.sendall(junk)
    assert running.ask().error == ""


def test_a_second_fetcher_is_refused(running: Running) -> None:
    with pytest.raises(Conflict, match="Another fetcher"), fetcher.listening(running.path):
        pass


def test_what_a_killed_fetcher_left_is_no_obstacle(tmp_path: Path, site: net.Site) -> None:
    first = _start(tmp_path, site.port)
    first.process.kill()
    first.process.wait()
    with pytest.raises(wire.FetcherUnavailable):
        first.ask()
    second = _start(tmp_path, site.port)
    assert second.ask().error == ""
    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(5) == 0


def test_more_than_it_can_do_is_busy_at_once(tmp_path: Path) -> None:
    with net.site(net.silence) as silent:
        one = _start(tmp_path, silent.port, concurrency=1)
        time.sleep(0.5)  # the probe of `_start` took the one place for a moment
        slow = wire.PageQuestion(NameKind.DNS, "demo.localhost", TOKEN, 100, 1.0)
        results: list[str] = []

        def ask() -> None:
            try:
                results.append(str(one.ask(slow).error))
            except wire.FetcherUnavailable:
                results.append("refused at once")

        threads = [threading.Thread(target=ask) for _ in range(6)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        one.process.terminate()
        one.process.wait(5)
    assert len(results) == 6
    assert results.count("refused at once") >= 2
    assert results.count("connection") >= 1
    assert time.monotonic() - started < 6  # one after another they would take as many seconds, and more


def test_a_socket_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"acme\.validation\.socket"), fetcher.listening(tmp_path / "file" / "x.sock"):
        pass


def test_a_wrong_network_stops_the_start() -> None:
    with pytest.raises(ValueError, match="no network"):
        Fetch.over(Config(acme={"validation": {"deny_networks": ["nowhere"]}}))  # type: ignore[arg-type]


def test_answers_never_outgrow_a_frame() -> None:
    trail = Trail(1)
    for _ in range(100):
        trail.note(wire.Deed.REQUEST, "\x00\u20ac" * 4000, "\x7f" * 4000, '"\\' * 4000)
    for texts in ((b"\xff" * 255,) * 252, (b"",) * 5400, (b"\xff" * 65535,)):  # what 64 KiB of DNS have room for
        longest = wire.Answer(
            Cause.FETCHED, "\x7f" * 2000, {}, 599, b"\xff" * (wire.MAX_BODY + 1), texts, b"\xff" * 16384, trail.steps
        )
        assert len(msgspec.json.encode(longest)) < wire.MAX_FRAME


# --- the crew -----------------------------------------------------------------------------------


def test_a_crew_does_jobs_when_they_are_due() -> None:
    done: list[str] = []
    ended = threading.Event()
    crew = Crew("test", 1, 10)
    crew.offer(lambda: (done.append("later"), ended.set()), delay=0.2)  # type: ignore[arg-type, return-value]
    crew.offer(lambda: done.append("now"))
    assert ended.wait(5)
    assert done == ["now", "later"]


def test_a_crew_survives_a_job_that_fails() -> None:
    ended = threading.Event()
    crew = Crew("test", 1, 10)

    def fail() -> None:
        raise ValueError("a bug")

    crew.offer(fail)
    crew.offer(ended.set)
    assert ended.wait(5)


def test_a_crew_refuses_what_finds_no_place() -> None:
    go = threading.Event()
    crew = Crew("test", 2, 3)
    running = threading.Semaphore(0)

    def job() -> None:
        running.release()
        go.wait(5)

    assert crew.offer(job)
    assert crew.offer(job)
    for _ in range(2):
        assert running.acquire(timeout=5)
    assert [crew.offer(job) for _ in range(5)] == [True, True, True, False, False]
    go.set()


def test_a_crew_uses_all_its_threads() -> None:
    together = threading.Barrier(4)
    crew = Crew("test", 4, 10)
    passed = threading.Semaphore(0)

    def job() -> None:
        together.wait(5)
        passed.release()

    for _ in range(4):
        crew.offer(job)
    for _ in range(4):
        assert passed.acquire(timeout=5)


def test_A32_what_nobody_foresaw_is_an_answer_too() -> None:
    """Else the asker would take the fetcher for away, and ask again for ever."""

    class Broken(Fetch):
        def get(self, question: wire.Question) -> wire.Answer:
            raise ZeroDivisionError

    ours, theirs = socket.socketpair()
    with ours:
        wire.send(ours, msgspec.json.encode(QUESTION))
        fetcher._answer(theirs, Broken.over(Config()))
        answer = msgspec.json.decode(wire.receive(ours), type=wire.Answer)
    assert (answer.cause, judge(KIND, answer, ASKED).error) == (Cause.UNFORESEEN, "incorrectResponse")
