"""Publication: the row first, the file after the commit, and never an older one over a newer (INC-02)."""

import contextlib
import multiprocessing
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca import folder as folder_module
from ca.clock import system_clock
from ca.errors import BadRequest, NotFound, StalePublication, Unavailable
from ca.folder import Folder
from ca.publish import Publisher, feed
from ca.records import Publication
from ca.store import Store

CRL = Publication("crl/issuing-g1/0000.crl", b"\x30\x01\x00", 5, "application/pkix-crl", 1_800_000_000, 1_800_000_060)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "public")


# --- the folder ---------------------------------------------------------------------------------


def test_what_is_applied_is_served_whole(folder: Folder) -> None:
    assert folder.get(CRL.path) is None
    assert folder.apply(CRL)
    assert folder.get(CRL.path) == CRL


def test_inc02_older_and_equal_versions_stay_out(folder: Folder) -> None:
    folder.apply(CRL)
    for version in (5, 4, 0):
        assert not folder.apply(replace(CRL, version=version, body=b"old", seq=99, fence=99))
    assert folder.get(CRL.path) == CRL
    assert folder.apply(replace(CRL, version=6, body=b""))
    assert folder.get(CRL.path) == replace(CRL, version=6, body=b"")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(st.integers(0, 6), min_size=1, max_size=8), body=st.binary(max_size=64))
def test_inc02_whatever_the_order_the_newest_stands(tmp_path: Path, versions: list[int], body: bytes) -> None:
    folder = Folder(tmp_path / os.urandom(8).hex())
    for version in versions:
        folder.apply(replace(CRL, version=version, body=body + bytes([version])))
    assert folder.get(CRL.path) == replace(CRL, version=max(versions), body=body + bytes([max(versions)]))


def test_what_ended_is_dropped_and_nothing_that_was_written_again(folder: Folder) -> None:
    now = system_clock()
    for number, until in enumerate((now - 100, now - 10, now + 10, 0)):
        folder.apply(replace(CRL, path=f"ocsp/aa/{number:02d}", fresh_until=until))
        os.utime(folder.root / f"ocsp/aa/{number:02d}", (now - 200, now - 200))
    folder.apply(replace(CRL, path="ocsp/aa/01", version=6, fresh_until=now + 10))
    assert folder.drop_ended("ocsp", now - 1) == 1
    assert sorted(folder.names("ocsp/aa")) == ["ocsp/aa/01", "ocsp/aa/02", "ocsp/aa/03"]
    assert folder.drop_ended("nothing", now) == 0


BAD_PATHS = [
    "",
    "/etc/passwd",
    "../x",
    "crl/../../x",
    "crl//x",
    "crl/./x",
    "crl/.hidden",
    ".fed",
    ".locks/00",
    "crl/x/",
    "a/b/c/d/e",
    "crl/x\x00",
    "crl/x\n",
    "crl/é",
    "crl\\x",
    "x" * 300,
    "crl/" + "x" * 300,
]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_nothing_lies_outside_the_grammar_of_paths(folder: Folder, path: str) -> None:
    folder.apply(CRL)
    before = sorted(folder.root.rglob("*"))
    assert folder.get(path) is None
    assert folder.stamp(path) is None
    with pytest.raises(BadRequest):
        folder.apply(replace(CRL, path=path))
    assert sorted(folder.root.rglob("*")) == before


def test_a_folder_is_no_publication(folder: Folder) -> None:
    folder.apply(CRL)
    assert folder.get("crl") is None
    assert folder.get("crl/issuing-g1") is None
    assert folder.get(CRL.path + "/x") is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_torn_file_counts_as_absent_and_is_replaced(folder: Folder, data: st.DataObject) -> None:
    folder.root.joinpath(CRL.path).unlink(missing_ok=True)
    folder.apply(CRL)
    file = folder.root / CRL.path
    whole = file.read_bytes()
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert folder.get(CRL.path) is None
    assert folder.apply(replace(CRL, version=1))
    assert folder.get(CRL.path) == replace(CRL, version=1)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_any_other_octet_counts_as_absent_and_is_replaced(folder: Folder, data: st.DataObject) -> None:
    """After a power loss a file may have its length and not its content: nothing here is synced."""
    folder.root.joinpath(CRL.path).unlink(missing_ok=True)
    folder.apply(CRL)
    file = folder.root / CRL.path
    octets = bytearray(file.read_bytes())
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(octets)
    assert folder.get(CRL.path) is None
    assert folder.apply(CRL)
    assert folder.get(CRL.path) == CRL


def test_foreign_files_are_no_publications(folder: Folder) -> None:
    folder.apply(CRL)
    raw = (folder.root / CRL.path).read_bytes()
    other = folder.root / "crl/issuing-g1/0001.crl"
    for content in (raw, raw + b"\x00", b"", b"CWP2", b"XXXX" + raw[4:], b"CWP2\xff\xff\xff\xff", os.urandom(500)):
        other.write_bytes(content)
        assert folder.get("crl/issuing-g1/0001.crl") is None


def test_the_stamp_changes_with_the_file_and_only_then(folder: Folder) -> None:
    assert folder.stamp(CRL.path) is None
    folder.apply(CRL)
    stamp = folder.stamp(CRL.path)
    assert stamp is not None
    folder.apply(CRL)
    assert folder.stamp(CRL.path) == stamp
    folder.apply(replace(CRL, version=6))
    assert folder.stamp(CRL.path) not in (None, stamp)


def _race(root: str, versions: list[int]) -> None:
    folder = Folder(root)
    for version in versions:
        folder.apply(replace(CRL, version=version, body=b"%06d" % version * 2000))


@pytest.mark.slow
def test_inc02_processes_that_race_never_set_a_file_back(folder: Folder) -> None:
    """A reader beside three writing processes sees whole files with versions that only rise."""
    context = multiprocessing.get_context("spawn")
    lanes = [list(range(start, 91, 3)) for start in (1, 2, 3)]
    lanes[2].reverse()
    children = [context.Process(target=_race, args=(str(folder.root), lane)) for lane in lanes]
    for child in children:
        child.start()
    seen: list[int] = []
    while any(child.is_alive() for child in children):
        found = folder.get(CRL.path)
        if found is not None:
            assert found.body == b"%06d" % found.version * 2000
            seen.append(found.version)
    for child in children:
        assert child.exitcode == 0
    assert seen == sorted(seen)
    final = folder.get(CRL.path)
    assert final is not None
    assert final.version == 90


def test_the_folder_knows_no_database() -> None:
    import subprocess
    import sys

    code = "import sys, ca.folder; print(sorted(m for m in ('peewee', 'psycopg', 'ca.store') if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# --- publishing ---------------------------------------------------------------------------------


def test_the_file_follows_the_commit(store: Store, folder: Folder) -> None:
    publisher = Publisher(store, folder)
    with store.transaction():
        publisher.put(CRL)
        assert folder.get(CRL.path) is None
    served = folder.get(CRL.path)
    assert served == publisher.get(CRL.path) == replace(CRL, seq=1)


def test_what_is_rolled_back_is_never_served(store: Store, folder: Folder) -> None:
    publisher = Publisher(store, folder)

    def crash() -> None:
        with store.transaction():
            publisher.put(CRL)
            raise NotFound("crash")

    with pytest.raises(NotFound):
        crash()
    assert folder.get(CRL.path) is None
    with pytest.raises(NotFound):
        publisher.get(CRL.path)
    with store.transaction():
        store.set_setting("a", "b")
    assert folder.get(CRL.path) is None


def test_outside_a_transaction_it_has_its_own(store: Store, folder: Folder) -> None:
    publisher = Publisher(store, folder)
    publisher.put(CRL)
    with pytest.raises(StalePublication):
        publisher.put(replace(CRL, body=b"other"))
    assert folder.get(CRL.path) == publisher.get(CRL.path)


def test_a_disk_that_refuses_leaves_the_file_to_the_feeder(sqlite_store: Store, folder: Folder) -> None:
    folder.root.parent.mkdir(exist_ok=True)
    folder.root.write_bytes(b"a file in the way")
    Publisher(sqlite_store, folder).put(CRL)
    assert sqlite_store.get(CRL.path).version == 5
    with pytest.raises(Unavailable, match="cannot be used"):
        feed(sqlite_store, folder)
    folder.root.unlink()
    assert feed(sqlite_store, folder) == 1
    assert folder.get(CRL.path) == sqlite_store.get(CRL.path)


# --- feeding ------------------------------------------------------------------------------------


def test_a_folder_is_rebuilt_from_the_rows(store: Store, folder: Folder, tmp_path: Path) -> None:
    publisher = Publisher(store, folder)
    for number in range(70):
        publisher.put(replace(CRL, path=f"ocsp/{number:04x}/01ab", version=number))
    publisher.put(replace(CRL, path="ocsp/0000/01ab", version=99))
    other = Folder(tmp_path / "other")
    assert feed(store, other) == 70
    assert feed(store, other) == 0
    for one in store.after(0):
        assert other.get(one.path) == one == folder.get(one.path)
    publisher.put(CRL)
    assert feed(store, other) == 1
    assert other.fed == store.last_seq()


def test_after_a_boot_the_folder_is_filled_anew(
    sqlite_store: Store, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is synced to disk, so what a power failure tore must be found although the mark says it was there."""
    Publisher(sqlite_store, folder).put(CRL)
    feed(sqlite_store, folder)
    (folder.root / CRL.path).write_bytes(b"")
    assert feed(sqlite_store, folder) == 0
    (tmp_path / "boot_id").write_text("another boot\n")
    monkeypatch.setattr(folder_module, "_BOOT", tmp_path / "boot_id")
    assert feed(sqlite_store, folder) == 1
    assert folder.get(CRL.path) == sqlite_store.get(CRL.path)


def test_a_database_that_was_set_back_is_read_from_its_beginning(sqlite_store: Store, folder: Folder) -> None:
    for version in range(1, 9):
        sqlite_store.put(replace(CRL, version=version))
    feed(sqlite_store, folder)
    sqlite_store.change("DELETE FROM publication")
    sqlite_store.change("UPDATE counter SET value = 2")
    sqlite_store.put(replace(CRL, path="roots.pem"))
    sqlite_store.put(replace(CRL, version=3))
    assert feed(sqlite_store, folder) == 1
    assert folder.get("roots.pem") is not None
    served = folder.get(CRL.path)
    assert served is not None
    assert served.version == 8


def test_a_mark_that_is_junk_counts_as_none(sqlite_store: Store, folder: Folder) -> None:
    sqlite_store.put(CRL)
    feed(sqlite_store, folder)
    (folder.root / ".fed").write_bytes(b"junk")
    assert folder.fed == 0
    assert feed(sqlite_store, folder) == 0
    assert folder.fed == 1


def test_feeders_and_publishers_at_once_end_with_the_newest(store: Store, folder: Folder) -> None:
    publisher = Publisher(store, folder)
    stop = threading.Event()
    rounds: list[int] = []

    def publish(lane: int) -> None:
        for version in range(1, 13):
            with contextlib.suppress(StalePublication):
                publisher.put(replace(CRL, path=f"crl/a/{lane % 2:04x}.crl", version=version, body=b"%d" % version))

    def feeder() -> None:
        while not stop.is_set():
            feed(store, folder)
        rounds.append(feed(store, folder))

    lanes = [threading.Thread(target=publish, args=(lane,)) for lane in range(4)]
    feeders = [threading.Thread(target=feeder) for _ in range(2)]
    for thread in (*feeders, *lanes):
        thread.start()
    for thread in lanes:
        thread.join(60)
    stop.set()
    for thread in feeders:
        thread.join(60)
    assert len(rounds) == 2, "a feeder broke off"
    assert [one.version for one in store.after(0)] == [12, 12]
    assert all(folder.get(one.path) == one for one in store.after(0))
