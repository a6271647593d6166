"""A database that is held by somebody else, and a service that is told to end: on the whole service, by its doors."""

import json
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

import pytest
import requests

from tests.crash.clients import csr
from tests.crash.service import Service, service, wait_for
from tests.crash.verdict import records
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("stop") / "ca", free_port()) as made:
        yield made


@pytest.fixture(scope="module")
def secret(running: Service) -> str:
    made = running.command("token", "create", "stop", "--profile", "server", "--allow", "**.localhost", "--json")
    return str(json.loads(made.stdout)["secret"])


@contextmanager
def held(running: Service) -> Iterator[None]:
    """Another process's write lock, as a backup tool or a forgotten shell holds it."""
    file = running.place.path / "state" / "certwright.sqlite"
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def issue(running: Service, secret: str, key: str = "") -> requests.Response:
    body = {"csr": csr(f"{secrets.token_hex(6)}.localhost").decode(), "profile": "server"}
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key or secrets.token_hex(8)}
    with running.session() as session:
        return session.post(f"{running.origin}/api/v1/certificates", json=body, headers=headers, timeout=60)


def ailing(running: Service) -> dict[str, dict[str, str]]:
    """The checks of /ready that fail."""
    with running.session() as session:
        answer = session.get(f"{running.origin}/ready", timeout=30)
    failing = {check["name"]: check for check in answer.json()["checks"] if not check["ok"]}
    assert answer.status_code == (503 if failing else 200)
    return failing


def test_a_database_that_is_locked_for_too_long_is_503_and_told_and_recovers(running: Service, secret: str) -> None:
    assert issue(running, secret).status_code == 201
    with held(running):
        refused = issue(running, secret)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        wait_for(lambda: "database" in ailing(running), 20, lambda: "nobody noticed")
        assert "busy" in ailing(running)["database"]["detail"]
        assert ailing(running)["database"]["next_step"]
        assert requests.get(f"{running.status}/ready", timeout=10).status_code == 200
    wait_for(lambda: not ailing(running), 20, lambda: ailing(running))
    assert issue(running, secret).status_code == 201


def test_told_to_end_it_finishes_what_has_begun_takes_nothing_new_and_ends_in_order(
    running: Service, secret: str
) -> None:
    assert issue(running, secret).status_code == 201
    seen = running.place.log.stat().st_size
    with ThreadPoolExecutor(6) as pool:
        begun, ended = _end_in_the_middle(running, secret, pool)
        answers = [one.result(60) for one in begun]
        assert ended.result(90) == 0
    assert [one.status_code for one in answers] == [201] * len(begun)
    _judge_log(running.place.log.read_text()[seen:])
    with records(running) as store:
        assert store.open_intents(1 << 40) == ()
        stored = {serial for (serial,) in store.rows("SELECT serial FROM certificate")}
    assert {one.json()["serial"] for one in answers} <= stored


def _end_in_the_middle(
    running: Service, secret: str, pool: ThreadPoolExecutor
) -> tuple[list["Future[requests.Response]"], "Future[int]"]:
    """Requests that wait for the database while the service is told to end; nobody new gets in meanwhile."""
    with held(running):
        begun = [pool.submit(issue, running, secret) for _ in range(4)]
        time.sleep(1.0)
        ended = pool.submit(running.stop)
        wait_for(lambda: _refuses(running), 10, lambda: "the doors stay open")
        assert not any(one.done() for one in begun)
    return begun, ended


def _refuses(running: Service) -> bool:
    """Whether who comes now is told so at once, and not left waiting."""
    try:
        with socket.create_connection(("127.0.0.1", running.https_port), timeout=2):
            return False
    except ConnectionRefusedError:
        return True


def _judge_log(log: str) -> None:
    """Nobody had to be killed.

    Granian says "refused" also of a worker that has just ended and is not yet reported so; one that does refuse is
    given ten seconds first.
    """
    assert "process.killed" not in log
    assert "Traceback" not in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    (stopping,) = [_time(line) for line in lines if line["event"] == "service.stopping"]
    refused = [_time(line) for line in lines if "refused to gracefully stop" in line["event"]]
    assert all(when - stopping < timedelta(seconds=8) for when in refused)


def _time(line: dict[str, str]) -> datetime:
    return datetime.fromisoformat(line["timestamp"])
