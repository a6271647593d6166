"""A migration while writers are at work: it waits, they pass, and nobody fails."""

import importlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ca.errors import StoreUnavailable
from ca.store import Store, migrate, pending
from tests.ca.store.things import certificate, intent

migrations = importlib.import_module("ca.store.migrate")
WIDER = "def up(m, db):\n    db.execute_sql('ALTER TABLE certificate ADD COLUMN more INT')\n"


@pytest.fixture
def opened(postgresql_url: str) -> Iterator[Store]:
    """A store that is open before the migration waits."""
    store = Store.open(postgresql_url)
    yield store
    store.close()


@pytest.fixture
def wider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One migration more: it locks the table that everybody writes to."""
    for file in migrations.FOLDER.glob("[0-9]*.py"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "9000_wider.py").write_text(WIDER)
    monkeypatch.setattr(migrations, "FOLDER", tmp_path)
    monkeypatch.setattr(migrations, "PATIENCE", 1)


class Writers:
    """Three threads that issue without a pause; each error and each long wait is kept."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.issued: list[int] = []
        self.errors: list[StoreUnavailable] = []
        self.longest = 0.0
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(3)]

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            one = intent()
            try:
                self.store.begin(one)
                self.store.finish(one.id, certificate(one))
                self.issued.append(one.serial)
            except StoreUnavailable as error:
                self.errors.append(error)
            self.longest = max(self.longest, time.monotonic() - began)


def test_writers_pass_and_the_migration_ends(store: Store, store_url: str, wider: None) -> None:
    with Writers(store) as writers:
        time.sleep(0.3)
        before = len(writers.issued)
        assert migrate(store_url) == ["9000_wider"]
        time.sleep(0.3)
    assert before < len(writers.issued)
    assert writers.errors == []
    assert all(store.by_serial(serial) for serial in writers.issued)
    assert pending(store_url) == []


@pytest.mark.slow
def test_a_reader_that_stays_holds_up_the_migration_and_no_writer(
    postgresql_url: str, opened: Store, wider: None
) -> None:
    with psycopg.connect(postgresql_url) as reader, Writers(opened) as writers:
        reader.execute("SELECT count(*) FROM certificate")  # keeps its lock until the transaction ends
        with pytest.raises(StoreUnavailable) as caught:
            migrate(postgresql_url, timeout=2)
        assert "busy" in caught.value.detail
        assert pending(postgresql_url) == ["9000_wider"]
        threading.Timer(2, reader.rollback).start()
        assert migrate(postgresql_url, timeout=20) == ["9000_wider"]
    assert writers.errors == []
    assert 0.5 < writers.longest < 5  # they stood behind the migration, for its patience at a time
