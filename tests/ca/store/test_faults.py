"""What goes wrong with a database is one error with a next step, and nothing is half-written."""

import importlib
import multiprocessing
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import psycopg
import pytest

from ca.errors import Conflict, NotFound, StoreUnavailable
from ca.records import Publication
from ca.store import Store, migrate, pending
from ca.store.edge import unavailable
from ca.store.office import Office
from ca.store.pulse import Pulse
from tests.ca.store.things import NOW, crashing, intent

CRL = Publication("crl/a/0000.crl", b"x" * 2000, 1, "application/pkix-crl", NOW)


def fails(action: object, *words: str) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        action()  # type: ignore[operator]
    for word in words:
        assert word in str(caught.value)
    assert caught.value.next_step
    return caught.value


# --- opening ------------------------------------------------------------------------------------


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    fails(lambda: Store.open(f"sqlite:///{tmp_path}/no.sqlite"), "certwright db migrate")
    assert pending(f"sqlite:///{tmp_path}/no.sqlite")[0] == "0001_initial"
    assert list(tmp_path.iterdir()) == []


def test_opening_never_migrates(tmp_path: Path) -> None:
    (tmp_path / "empty.sqlite").touch()
    fails(lambda: Store.open(f"sqlite:///{tmp_path}/empty.sqlite"), "0001_initial", "certwright db migrate")
    with sqlite3.connect(tmp_path / "empty.sqlite") as connection:
        assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []


def test_tables_that_vanish_name_the_migration(store: Store) -> None:
    store.change("DROP TABLE setting")
    fails(lambda: store.setting("x"), "certwright db migrate")


def test_junk_is_a_damaged_database(tmp_path: Path) -> None:
    (tmp_path / "junk.sqlite").write_bytes(b"junk" * 4096)
    fails(lambda: Store.open(f"sqlite:///{tmp_path}/junk.sqlite"), "damaged", "backup")


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    fails(lambda: Store.open(f"postgresql://x@/y?host={tmp_path}", timeout=2), "cannot be reached", "database.url")


# --- while it runs ------------------------------------------------------------------------------


def test_a_locked_database_is_waited_for_and_then_told(store: Store, store_url: str) -> None:
    impatient = Store.open(store_url, timeout=1)
    with store.transaction():
        store.put(CRL)
        outcome: list[object] = []
        other = threading.Thread(target=lambda: outcome.append(fails(lambda: impatient.put(CRL), "busy")))
        other.start()
        other.join(20)
        assert len(outcome) == 1
    assert store.get(CRL.path).version == 1
    impatient.close()


def test_a_full_disk_writes_nothing(sqlite_store: Store) -> None:
    with sqlite_store.reading():
        pages = sqlite_store.rows("PRAGMA page_count")[0][0]
        sqlite_store.rows(f"PRAGMA max_page_count = {pages + 2}")
        fails(lambda: [sqlite_store.put(_big(n)) for n in range(9)], "full", "Free space")
    sqlite_store.close()
    assert len(sqlite_store.after(0)) < 9
    assert sqlite_store.rows("PRAGMA integrity_check") == [("ok",)]


def test_a_full_disk_in_a_transaction_takes_all_of_it_back(sqlite_store: Store) -> None:
    def fill() -> None:
        with sqlite_store.transaction():
            sqlite_store.begin(intent())
            for n in range(9):
                sqlite_store.put(_big(n))

    with sqlite_store.reading():
        pages = sqlite_store.rows("PRAGMA page_count")[0][0]
        sqlite_store.rows(f"PRAGMA max_page_count = {pages + 4}")
        fails(fill, "full")
    sqlite_store.close()
    assert sqlite_store.after(0) == ()
    assert sqlite_store.open_intents(NOW + 1) == ()
    sqlite_store.begin(intent())


def _big(number: int) -> Publication:
    return Publication(f"crl/a/{number}.crl", b"x" * 9000, 1, "application/pkix-crl", NOW)


def test_a_read_only_database_is_told(store: Store) -> None:
    with store.reading():
        on_sqlite = store._dialect.placeholder == "?"
        store.rows("PRAGMA query_only = 1") if on_sqlite else store.database.execute_sql(
            "SET default_transaction_read_only = on"
        )
        fails(lambda: store.put(CRL), "may not be written", "owner and mode")


def test_a_connection_that_is_cut_in_a_transaction_heals(postgresql_url: str) -> None:
    store = Store.open(postgresql_url)

    def cut() -> None:
        with store.transaction():
            store.put(CRL)
            (pid,) = store.rows("SELECT pg_backend_pid()")[0]
            with psycopg.connect(postgresql_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
            store.put(Publication("roots.pem", b"", 1, "text/plain", NOW))

    fails(cut, "cannot be reached")
    with pytest.raises(NotFound):
        store.get(CRL.path)
    store.put(CRL)
    store.close()


def test_an_idle_connection_that_was_cut_is_replaced(postgresql_url: str) -> None:
    store = Store.open(postgresql_url)
    (pid,) = store.rows("SELECT pg_backend_pid()")[0]
    with psycopg.connect(postgresql_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    assert store.issuers() == ()
    store.close()


def test_a_file_that_vanishes_is_not_made_anew_and_goes_on_when_it_is_back(sqlite_url: str, tmp_path: Path) -> None:
    """A new, empty file would delete the WAL, and with it what other processes have committed."""
    store, place = Store.open(sqlite_url), tmp_path / "certwright.sqlite"
    other = Store.open(sqlite_url)
    store.put(CRL)
    assert other.get(CRL.path)
    place.rename(tmp_path / "elsewhere")
    fails(lambda: other.put(_big(1)), "not there", "runbooks/database.md")
    fails(lambda: other.get(CRL.path), "not there")
    fails(lambda: store.put(_big(1)), "not there")
    assert not place.exists()
    (tmp_path / "elsewhere").rename(place)
    other.put(_big(1))
    assert [one.path for one in store.after(0)] == [CRL.path, "crl/a/1.crl"]
    other.close()
    store.close()


def test_a_file_that_was_exchanged_is_seen_by_the_next_transaction(
    sqlite_url: str, sqlite_template: Path, tmp_path: Path
) -> None:
    """A restored backup: nobody goes on writing into the old file."""
    store = Store.open(sqlite_url)
    store.put(CRL)
    shutil.copy(sqlite_template, tmp_path / "restored")
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"certwright.sqlite{suffix}").rename(tmp_path / f"old{suffix}")
    (tmp_path / "restored").rename(tmp_path / "certwright.sqlite")
    assert store.after(0) == ()
    store.put(_big(1))
    store.close()
    with sqlite3.connect(tmp_path / "old") as old:
        assert old.execute("SELECT path FROM publication").fetchall() == [(CRL.path,)]


# --- does it take writes? -----------------------------------------------------------------------


def test_the_pulse_writes_seldom_while_all_is_well(store: Store) -> None:
    now = [100.0]
    pulse = Pulse(store, lambda: now[0])
    for moment, written in ((100.0, "100.0"), (104.9, "100.0"), (105.0, "105.0")):
        now[0] = moment
        pulse.demand()
        assert store.setting("pulse") == written


def test_the_pulse_tells_of_a_lock_that_reads_do_not_notice_and_of_its_end(store: Store, store_url: str) -> None:
    other = Store.open(store_url)
    other.pulse.demand()
    other.pulse = Pulse(other.pulse._office, lambda: 0.0)
    with store.transaction():
        store.set_setting("pulse", "held")
        began = time.monotonic()
        assert other.issuers() == ()
        fails(other.pulse.demand, "busy")
        assert time.monotonic() - began < 5
    other.pulse.demand()
    other.close()


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (psycopg.errors.DiskFull("could not extend file: No space left on device"), "full"),
        (psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"), "busy"),
        (psycopg.errors.DeadlockDetected("deadlock detected"), "busy"),
        (psycopg.errors.InsufficientPrivilege("permission denied for table event"), "may not be written"),
        (psycopg.errors.UndefinedTable('relation "event" does not exist'), "tables"),
        (psycopg.errors.DuplicateTable('relation "target" already exists'), "another release"),
        (sqlite3.OperationalError("duplicate column name: subdomains"), "another release"),
        (psycopg.OperationalError("server closed the connection unexpectedly\n\tThis probably means"), "reached"),
    ],
)
def test_drivers_words_have_a_meaning(error: Exception, word: str) -> None:
    assert word in str(unavailable(error))


def test_many_threads_share_a_pool_that_is_smaller(store: Store) -> None:
    """More threads than connections: they wait for their turn, and every read ends."""
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(len(store.issuers()))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert done == [0] * 50


# --- transactions -------------------------------------------------------------------------------


def test_nested_blocks_are_one_transaction(store: Store) -> None:
    with crashing(store), store.transaction():
        store.set_setting("a", "1")
    with pytest.raises(NotFound):
        store.setting("a")


def test_deeds_after_commit_happen_once_and_only_after_it(store: Store) -> None:
    done: list[str] = []
    with store.transaction():
        with store.transaction():
            store.after_commit(lambda: done.append(store.setting("a")))
            store.set_setting("a", "1")
        assert done == []
    assert done == ["1"]
    with crashing(store):
        store.after_commit(lambda: done.append("never"))
    with store.transaction():
        store.set_setting("a", "2")
    store.after_commit(lambda: done.append("at once"))
    assert not store.in_transaction()
    assert done == ["1", "at once"]


def test_a_duplicate_is_a_conflict_and_the_store_goes_on(store: Store) -> None:
    one = intent()
    store.begin(one)

    def twice() -> None:
        with store.transaction():
            store.set_setting("a", "1")
            store.begin(one)

    with pytest.raises(Conflict):
        twice()
    with pytest.raises(NotFound):
        store.setting("a")
    assert store.intent(one.id) == one


def test_sqlite_connections_are_durable_and_strict(sqlite_store: Store) -> None:
    seen: list[list[object]] = []

    def look() -> None:
        with sqlite_store.reading():
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            seen.append([sqlite_store.rows(f"PRAGMA {name}")[0][0] for name in names])

    with sqlite_store.reading():
        other = threading.Thread(target=look)
        other.start()
        other.join()
        look()
    assert seen == [["wal", 2, 1, 10_000]] * 2


def test_the_store_is_an_office_of_many_counters() -> None:
    assert issubclass(Store, Office)
    names = [name for base in Store.__mro__[1:-2] for name in vars(base) if not name.startswith("__")]
    assert len(names) == len(set(names)), "two counters share a name"


# --- migrations ---------------------------------------------------------------------------------


def _migrate(url: str, outcome: object) -> None:
    outcome.put(migrate(url))  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_migrating_twice_at_once_applies_each_once(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/new/certwright.sqlite"
    else:
        url = request.getfixturevalue("postgresql").create(template="template0")
    context = multiprocessing.get_context("spawn")
    outcome = context.Queue()
    children = [context.Process(target=_migrate, args=(url, outcome)) for _ in range(3)]
    for child in children:
        child.start()
    applied = sorted(outcome.get(timeout=60) for _ in children)
    for child in children:
        child.join(10)
    assert applied[:2] == [[], []]
    assert "0001_initial" in applied[2]
    assert pending(url) == []
    Store.open(url).close()


def test_each_number_is_one_migration_s() -> None:
    """Two that took the same number are told apart by no order, and renaming one breaks whoever applied it."""
    folder = importlib.import_module("ca.store.migrate").FOLDER
    numbers = [file.stem[:4] for file in sorted(folder.glob("[0-9]*.py"))]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def test_the_file_of_a_new_database_is_private(tmp_path: Path) -> None:
    migrate(f"sqlite:///{tmp_path}/state/certwright.sqlite")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state/certwright.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_migration_that_fails_leaves_nothing_and_can_be_run_again(
    store: Store, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations = importlib.import_module("ca.store.migrate")
    for file in migrations.FOLDER.glob("[0-9]*.py"):
        (tmp_path / file.name).write_text(file.read_text())
    broken = tmp_path / "9000_broken.py"
    broken.write_text("def up(m, db):\n    db.execute_sql('CREATE TABLE half (a INT)')\n    db.execute_sql('BAD')\n")
    monkeypatch.setattr(migrations, "FOLDER", tmp_path)
    with pytest.raises(StoreUnavailable):
        migrate(store_url)
    assert pending(store_url) == ["9000_broken"]
    broken.write_text("def up(m, db):\n    db.execute_sql('CREATE TABLE half (a INT)')\n")
    assert migrate(store_url) == ["9000_broken"]
    assert store.rows("SELECT * FROM half") == []
