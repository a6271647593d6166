"""The queue of SQLite's writers: one at a time, in order, with an end, and let go by whoever dies."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import peewee
import pytest

from ca.errors import StoreUnavailable
from ca.store import Store
from ca.store.turn import Turn

pytestmark = pytest.mark.slow


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "certwright.sqlite"
    path.touch(0o640)
    return path


def _count(database: str, tally: str) -> None:
    turn = Turn(Path(database), 20)
    for _ in range(25):
        with turn.taken():
            number = int(Path(tally).read_text())
            Path(tally).write_text(str(number + 1))


@pytest.mark.slow
def test_one_at_a_time_among_threads_and_processes(database: Path, tmp_path: Path) -> None:
    tally = tmp_path / "tally"
    tally.write_text("0")
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_count, args=(str(database), str(tally))) for _ in range(2)]
    threads = [threading.Thread(target=_count, args=(str(database), str(tally))) for _ in range(2)]
    for one in (*children, *threads):
        one.start()
    for one in (*children, *threads):
        one.join(30)
    assert tally.read_text() == "100"
    assert Path(f"{database}.turn").stat().st_mode & 0o777 == 0o640


def test_waiting_has_an_end_and_the_queue_goes_on_after_it(database: Path) -> None:
    holder, impatient = Turn(database, 5), Turn(database, 1)

    def late() -> None:
        with impatient.taken():
            pass

    with holder.taken():
        before = time.monotonic()
        with pytest.raises(peewee.OperationalError, match="locked"):
            late()
        assert 0.9 < time.monotonic() - before < 3
    late()
    with holder.taken():
        pass


def test_threads_of_one_process_wait_no_longer_either(database: Path) -> None:
    turn = Turn(database, 1)
    failed: list[str] = []

    def late() -> None:
        try:
            with turn.taken():
                pass
        except peewee.OperationalError as error:
            failed.append(str(error))

    with turn.taken():
        thread = threading.Thread(target=late)
        thread.start()
        thread.join(10)
    assert failed == ["database is locked"]


def _hold(database: str, ready: object) -> None:
    with Turn(Path(database), 5).taken():
        ready.set()  # type: ignore[attr-defined]
        signal.pause()


def test_whoever_is_killed_lets_go(database: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    child = context.Process(target=_hold, args=(str(database), ready))
    child.start()
    assert ready.wait(30)
    threading.Timer(0.3, os.kill, (child.pid, signal.SIGKILL)).start()
    with Turn(database, 10).taken():
        assert not child.is_alive() or child.join(5) is None
    child.join(10)


def test_a_folder_that_refuses_is_told(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "certwright.sqlite.turn").unlink(missing_ok=True)
    (tmp_path / "certwright.sqlite.turn").mkdir()
    with pytest.raises(StoreUnavailable) as caught:
        sqlite_store.set_setting("a", "b")
    assert "turn" in str(caught.value)
    assert caught.value.next_step
