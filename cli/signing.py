"""A signer to talk to: the service's, if it runs, else one for as long as a command takes (ceremony, samples)."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ca.config import Config
from ca.errors import HSMUnavailable, PinRefused
from ca.keys.client import SignerClient, SignerHealth
from cli.processes import part

START_SECONDS = 20.0
SETTLE_SECONDS = 3.0
END_SECONDS = 10.0


@contextmanager
def signer(config: Config, path: Path) -> Iterator[SignerClient]:
    """A signer that can sign. Raises `PinRefused` or `HSMUnavailable` with its own words when it cannot.

    `path` is the configuration's file, for the one that is started here; that one dies with this process.
    """
    client = SignerClient(config.path(config.signer.socket), timeout=float(config.signer.timeout))
    try:
        _demand(client.health())
    except PinRefused:
        raise
    except HSMUnavailable:
        with _temporary(client, path):
            yield client
    else:
        yield client
    finally:
        client.close()


def demand_pin(config: Config) -> None:
    """Raises `PinRefused` when the service's signer says that; nothing otherwise, also when there is no signer."""
    client = SignerClient(config.path(config.signer.socket))
    try:
        _demand(client.health())
    except PinRefused:
        raise
    except HSMUnavailable:
        return
    finally:
        client.close()


def _demand(health: SignerHealth) -> None:
    if health.pin_refused:
        raise PinRefused(health.detail, next_step="Correct the PIN, then run 'certwright key unlock'.")
    if not health.ok:
        raise HSMUnavailable(health.detail, next_step="See docs/operations.md, 'The signer cannot sign'.")


@contextmanager
def _temporary(client: SignerClient, path: Path) -> Iterator[None]:
    words = ("serve", "--only", "signer", "--config", str(path))
    with tempfile.TemporaryFile("w+") as log:
        process = part("cli.main", *words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            _demand(_first_health(client, process, log))
            yield
        finally:
            _end(process)


def _first_health(client: SignerClient, process: "subprocess.Popen[bytes]", log: IO[str]) -> SignerHealth:
    """What it says of itself as soon as it can sign, or after it had time to open its token and could not."""
    health = _answer(client, process, log)
    end = time.monotonic() + SETTLE_SECONDS
    while not (health.ok or health.pin_refused or time.monotonic() > end):
        time.sleep(0.05)
        health = client.health()
    return health


def _answer(client: SignerClient, process: "subprocess.Popen[bytes]", log: IO[str]) -> SignerHealth:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            return client.health()
        except HSMUnavailable:
            if process.poll() is not None or time.monotonic() > end:
                raise HSMUnavailable(
                    f"The signer did not start: {_last_words(log)}", next_step="Mend that first."
                ) from None
        time.sleep(0.05)


def _last_words(log: IO[str]) -> str:
    log.seek(0)
    lines = log.read().strip().splitlines()
    return lines[-1] if lines else "it said nothing."


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
