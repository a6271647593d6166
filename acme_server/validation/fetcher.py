"""The fetcher's process: it alone talks to strangers' servers, without database, keys or rights (HOUSE.md §3).

    python -m acme_server.validation.fetcher --config FILE

One question a connection of its Unix socket (`acme_server.validation.wire`); at most `acme.validation.concurrency`
fetches run at once, as many wait, and the rest hears "busy" at once.
"""

import argparse
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import structlog

from acme_server.crew import Crew
from acme_server.validation.causes import Cause
from acme_server.validation.fetch import Fetch
from acme_server.validation.wire import (
    MAX_BODY,
    Answer,
    AuthorityQuestion,
    HandshakeQuestion,
    PageQuestion,
    Question,
    TextQuestion,
    receive,
    send,
)
from ca import config as configuration
from ca import logs
from ca.config import Config
from ca.errors import BadName, ConfigError, Conflict
from ca.names import is_wildcard, parse_name
from ca.records import Name, NameKind
from ca.signals import Told, told_to_end
from ca.sockets import socket_address

MAX_SECONDS = 60.0
_PATIENCE = 5.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}\Z")
_LABEL = re.compile(r"((_[a-z2-7]{16}\.)?_acme-challenge|_validation-persist)\Z")


def run(config: Config) -> None:
    """Serves until SIGTERM or SIGINT. Raises `ConfigError` (networks, resolvers, socket) or `Conflict`."""
    fetch = Fetch.over(config)
    stop = told_to_end()
    with listening(config.path(config.acme.validation.socket)) as listener:
        structlog.get_logger().info("fetcher.started", socket=str(listener.getsockname()))
        serve(listener, fetch, config.acme.validation.concurrency, stop)
    structlog.get_logger().info("fetcher.stopped")


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A listener at `path` (0660), removed at the end. Raises `Conflict` if one is there already, or `ConfigError`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_way(path)
            with socket_address(path) as address:
                listener.bind(address)
            path.chmod(0o660)
            listener.listen(128)
        except OSError as error:
            raise ConfigError(
                f"The fetcher cannot listen at {path}: {error.strerror or error}.",
                next_step="Check acme.validation.socket.",
            ) from None
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _make_way(path: Path) -> None:
    """Removes what a killed fetcher left behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            with socket_address(path) as address:
                probe.connect(address)
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise Conflict(f"Another fetcher listens at {path}.", next_step="Stop it, or set acme.validation.socket.")


def serve(listener: socket.socket, fetch: Fetch, concurrency: int, stop: Told) -> None:
    """Answers questions until `stop` is set. What is under way then is broken off: its asker asks again."""
    crew = Crew("fetch", concurrency, concurrency)
    listener.settimeout(0.5)
    while not stop.is_set():
        try:
            channel, _ = listener.accept()
        except TimeoutError:
            continue
        channel.settimeout(_PATIENCE)
        if not crew.offer(lambda channel=channel: _answer(channel, fetch)):  # type: ignore[misc]
            _say(channel, Answer(Cause.BUSY))
            channel.close()


def _answer(channel: socket.socket, fetch: Fetch) -> None:
    with channel:
        try:
            question = _checked(msgspec.json.decode(receive(channel), type=Question))
        except (OSError, EOFError, msgspec.MsgspecError, BadName) as error:
            structlog.get_logger().warning("question.refused", reason=str(error)[:200])
            return
        _say(channel, _fetched(fetch, question))


def _fetched(fetch: Fetch, question: Question) -> Answer:
    """An answer in any case: else the asker would take this process for away, and ask for ever."""
    try:
        return fetch.get(question)
    except Exception:  # noqa: BLE001 - the edge of a job
        structlog.get_logger().exception("fetch.failed", host=question.value)
        return Answer(Cause.UNFORESEEN, facts={"subject": question.value})


def _checked(question: Question) -> Question:
    """The question as it may be asked, whoever asks. Raises `BadName`."""
    seconds = min(max(question.seconds, 0.1), MAX_SECONDS)
    match question:
        case PageQuestion():
            _demand(_TOKEN, question.token)
            name = _host(question.kind, question.value)
            return PageQuestion(name.kind, name.value, question.token, min(max(question.limit, 0), MAX_BODY), seconds)
        case TextQuestion():
            _demand(_LABEL, question.label)
            return TextQuestion(_host(NameKind.DNS, question.value).value, question.label, seconds)
        case AuthorityQuestion():
            return AuthorityQuestion(_host(NameKind.DNS, question.value).value, seconds)
        case HandshakeQuestion():
            name = _host(question.kind, question.value)
            return HandshakeQuestion(name.kind, name.value, seconds)


def _demand(form: re.Pattern[str], text: str) -> None:
    if not form.match(text):
        raise BadName(f"{text[:100]!r} is part of no challenge.")


def _host(kind: NameKind, value: str) -> Name:
    name = parse_name(kind, value)
    if name.kind is NameKind.URI or is_wildcard(name):
        raise BadName(f"{name} is no host.")
    return name


def _say(channel: socket.socket, answer: Answer) -> None:
    with suppress(OSError):  # who asked has gone away
        send(channel, msgspec.json.encode(answer))


def main() -> None:
    """The command line of this process."""
    parser = argparse.ArgumentParser(prog="fetcher", description="Fetches ACME challenges.")
    parser.add_argument("--config", type=Path, required=True)
    logs.configure("fetcher")
    run(configuration.load(parser.parse_args().config))


if __name__ == "__main__":
    main()
