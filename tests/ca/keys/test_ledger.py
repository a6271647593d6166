"""The ledger: durable before release, chained, cut only where nothing was released, and refusing all the rest."""

import errno
import hashlib
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ca.errors import HSMBusy, LedgerBroken, PossiblySigned, SigningRefused, StalePublication
from ca.keys import ledger as disk
from ca.keys.ledger import RESPONDER, Entry, segment_path
from ca.keys.signer.ledger import Claim, Ledger
from ca.records import SignKind

CERTIFICATE = SignKind.CERTIFICATE.value


def entry(
    serial: str, *, key: str = "issuing-g1", kind: str = CERTIFICATE, tbs: bytes = b"tbs", number: int = 0
) -> Entry:
    return Entry(0, 1_800_000_000, key, kind, 0, hashlib.sha256(tbs).digest(), tbs, serial, number)


def claim(serial: str, *, key: str = "issuing-g1", kind: str = CERTIFICATE) -> Claim:
    return Claim(key, kind, serial)


@contextmanager
def opened(folder: Path, **how: object) -> Iterator[Ledger]:
    folder.mkdir(exist_ok=True)
    ledger = Ledger(folder, **how)  # type: ignore[arg-type]
    yield ledger
    ledger.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger of five entries in five frames."""
    with opened(tmp_path / "ledger") as ledger:
        for n in range(5):
            ledger.record(entry(f"0{n}"))
    return tmp_path / "ledger"


def only(folder: Path) -> Path:
    (path,) = folder.glob("*.ledger")
    return path


def without_index(folder: Path) -> None:
    for one in folder.glob("index.sqlite*"):
        one.unlink()


# --- writing and reading ------------------------------------------------------------------------


def test_what_was_recorded_is_read_in_order_and_verifies(folder: Path) -> None:
    entries = list(disk.read(folder))
    assert [one.counter for one in entries] == [1, 2, 3, 4, 5]
    assert [one.mark for one in entries] == ["00", "01", "02", "03", "04"]
    assert entries[0].tbs == b"tbs"
    report = disk.verify(folder)
    assert (report.entries, report.segments, report.under_way) == (5, 1, 0)
    assert only(folder).read_bytes().endswith(bytes.fromhex(report.head))
    assert {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o600}


def test_an_entry_is_durable_before_record_returns(tmp_path: Path) -> None:
    order: list[str] = []

    def sync(descriptor: int) -> None:
        os.fdatasync(descriptor)
        order.append("durable")

    with opened(tmp_path / "ledger", sync=sync) as ledger:
        ledger.record(entry("01"))
        order.append("released")
    assert order == ["durable", "released"]


def test_concurrent_signatures_share_an_fsync(tmp_path: Path) -> None:
    syncs: list[int] = []

    def slow(descriptor: int) -> None:
        time.sleep(0.05)
        syncs.append(descriptor)

    with opened(tmp_path / "ledger", sync=slow) as ledger:
        threads = [threading.Thread(target=ledger.record, args=(entry(f"{n:02x}"),)) for n in range(16)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(10)
        assert len(syncs) <= 4
    assert sorted(one.mark for one in disk.read(tmp_path / "ledger")) == [f"{n:02x}" for n in range(16)]


def test_segments_rotate_by_size_and_the_chain_goes_through(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    for start in range(0, 40, 10):  # four runs: a restart goes on in the last segment
        with opened(folder, segment=1000) as ledger:
            for n in range(start, start + 10):
                ledger.record(entry(f"{n:02x}", tbs=bytes(200)))
    report = disk.verify(folder)
    assert report.entries == 40
    assert report.segments == len(disk.segments(folder)) > 5
    assert [one.counter for one in disk.read(folder)] == list(range(1, 41))


@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_missing_segment_is_named(tmp_path: Path, lost: int) -> None:
    folder = tmp_path / "ledger"
    with opened(folder, segment=1000) as ledger:
        for n in range(20):
            ledger.record(entry(f"{n:02x}", tbs=bytes(200)))
    path = segment_path(folder, disk.segments(folder)[lost])
    path.unlink()
    with opened(folder) as ledger:
        if lost == -1:
            # Cut at the end it still verifies by itself: the index beside it knows better.
            assert ledger.fault()
        else:
            with pytest.raises(LedgerBroken, match=r"\.ledger"):
                disk.verify(folder)


def test_large_entries_are_split_over_frames(tmp_path: Path) -> None:
    drafts = [entry(f"{n:02x}", tbs=bytes(1 << 20)) for n in range(12)]
    with opened(tmp_path / "ledger") as ledger:
        ledger.record(*drafts)
    assert disk.verify(tmp_path / "ledger").entries == 12


# --- what is taken for good ---------------------------------------------------------------------


def test_a_serial_is_never_signed_twice_not_after_a_restart_either(folder: Path) -> None:
    for _ in range(2):
        with opened(folder) as ledger:
            with pytest.raises(SigningRefused, match="signed the serial 03 already"), ledger.claim(claim("03"), 1):
                pytest.fail("it was let through")
            with pytest.raises(SigningRefused), ledger.claim(claim("03", kind=RESPONDER), 1):
                pytest.fail("it was let through")
            with ledger.claim(claim("03", key="issuing-g2"), 1), ledger.claim(claim("05"), 1):
                pass
        without_index(folder)  # the second time everything is read from the ledger again


def test_the_same_serial_twice_at_once_is_signed_once(tmp_path: Path) -> None:
    outcomes: list[str] = []

    def sign(ledger: Ledger) -> None:
        try:
            with ledger.claim(claim("01"), 5):
                time.sleep(0.05)
                ledger.record(entry("01"))
            outcomes.append("signed")
        except SigningRefused:
            outcomes.append("refused")

    with opened(tmp_path / "ledger") as ledger:
        threads = [threading.Thread(target=sign, args=(ledger,)) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(10)
    assert sorted(outcomes) == ["refused", "refused", "refused", "signed"]


def test_a_claim_that_failed_takes_nothing_and_one_that_lasts_is_busy(tmp_path: Path) -> None:
    with opened(tmp_path / "ledger") as ledger:
        with pytest.raises(RuntimeError), ledger.claim(claim("01"), 1):
            raise RuntimeError
        with ledger.claim(claim("01"), 1), pytest.raises(HSMBusy), ledger.claim(claim("01"), 0.02):
            pytest.fail("it was let through")


@pytest.mark.parametrize("rebuilt", [False, True])
def test_INC02_numbers_and_times_only_rise_over_restarts(tmp_path: Path, rebuilt: bool) -> None:
    folder = tmp_path / "ledger"
    crl = Claim("issuing-g1", "crl", "scope", 7, 1000, now=1000)
    with opened(folder) as ledger, ledger.claim(crl, 1):
        ledger.record(msgspec.structs.replace(entry("scope", kind="crl", number=7), this_update=1000))
    if rebuilt:
        without_index(folder)
    with opened(folder) as ledger:
        for lower in (replace(crl, number=6), crl, replace(crl, number=8, this_update=999)):
            with pytest.raises(StalePublication), ledger.claim(lower, 1):
                pytest.fail("it was let through")
        for higher in (replace(crl, number=8), replace(crl, mark="other", number=1), replace(crl, key="issuing-g2")):
            with ledger.claim(higher, 1):
                pass


def test_no_leap_shuts_the_honest_out(tmp_path: Path) -> None:
    """A thief's CRL or checkpoint far ahead would be higher than every honest one to come."""
    crl = Claim("issuing-g1", "crl", "scope", 1_000_000, 1000, now=1000)
    head = Claim("journal-g1", "checkpoint", "origin", 10)
    with opened(tmp_path / "ledger") as ledger:
        ledger.record(entry("origin", key="journal-g1", kind="checkpoint", number=9))
        for far in (
            replace(crl, number=1 << 61),
            replace(crl, number=(1000 + 301) * 1000),
            replace(crl, this_update=1000 + 301),
            replace(head, number=1 << 61),
        ):
            with pytest.raises(SigningRefused, match="leaps ahead"), ledger.claim(far, 1):
                pytest.fail("it was let through")
        for near in (crl, replace(crl, this_update=1300, number=1_300_000), head):
            with ledger.claim(near, 1):
                pass
        # Where the clock was set back, the last number and time may still be followed.
        ledger.record(msgspec.structs.replace(entry("scope", kind="crl", number=9_000_000), this_update=9000))
        with ledger.claim(replace(crl, number=9_000_001, this_update=9000), 1):
            pass


def test_a_checkpoint_may_be_signed_again_only_as_it_was(tmp_path: Path) -> None:
    first = Claim("journal-g1", "checkpoint", "origin", 5, 0, b"head")
    with opened(tmp_path / "ledger") as ledger:
        ledger.record(
            msgspec.structs.replace(entry("origin", key="journal-g1", kind="checkpoint", number=5), sha256=b"head")
        )
        with ledger.claim(first, 1), pytest.raises(HSMBusy), ledger.claim(first, 0.01):
            pass
        with pytest.raises(StalePublication), ledger.claim(replace(first, sha256=b"other"), 1):
            pytest.fail("another head of the same size was let through")
        with pytest.raises(StalePublication), ledger.claim(replace(first, number=4, sha256=b"x"), 1):
            pytest.fail("a shorter journal was let through")


# --- crashes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [b"\x00", b"\x00\x00\x01", b"\x00\x00\x01\x00half a frame", bytes(4096)])
@pytest.mark.parametrize("rebuilt", [False, True])
def test_a_torn_tail_is_cut_and_the_chain_goes_on(folder: Path, torn: bytes, rebuilt: bool) -> None:
    whole = only(folder).read_bytes()
    with only(folder).open("ab") as file:
        file.write(torn)
    if rebuilt:
        without_index(folder)
    assert disk.verify(folder).under_way == len(torn)
    with opened(folder) as ledger:
        assert only(folder).read_bytes() == whole
        ledger.record(entry("05"))
    assert disk.verify(folder).entries == 6


def test_every_cut_of_the_last_frame_is_a_torn_tail(folder: Path) -> None:
    with opened(folder) as ledger:
        before = ledger.end()
    with opened(folder) as ledger:
        ledger.record(entry("05"))
    whole = only(folder).read_bytes()
    without_index(folder)
    for size in range(before.offset, len(whole)):
        only(folder).write_bytes(whole[:size])
        assert disk.verify(folder).entries == 5


def test_what_the_index_missed_is_read_at_the_start(folder: Path) -> None:
    """After a power cut the index lags behind; the ledger does not."""
    kept = {one: one.read_bytes() for one in folder.glob("index.sqlite*")}
    with opened(folder) as ledger:
        ledger.record(entry("05"))
    for path, content in kept.items():
        path.write_bytes(content)
    with opened(folder) as ledger, pytest.raises(SigningRefused), ledger.claim(claim("05"), 1):
        pytest.fail("it was let through")


# --- whatever else is not as it was written -----------------------------------------------------


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def cut(path: Path, octets: int) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - octets)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "the header is changed": lambda path: flip(path, 3),
    "the first hash is changed": lambda path: flip(path, 25),
    "an entry in the middle is changed": lambda path: flip(path, 200),
    "the last octet is changed": lambda path: flip(path, -1),
    "the last frame is cut in two": lambda path: cut(path, 10),
    "everything is gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_ledger_stops_the_signing_and_says_what_to_do(folder: Path, what: str) -> None:
    DAMAGE[what](only(folder))
    if what in ("an entry in the middle is changed", "the header is changed", "the first hash is changed"):
        with pytest.raises(LedgerBroken):
            disk.verify(folder)
        without_index(folder)  # a restart reads only what is new: old damage is found by whoever reads it all
    with opened(folder) as ledger:
        with pytest.raises(LedgerBroken, match=r"docs/keys.md") as refusal:
            ledger.check()
        assert str(folder) in refusal.value.detail
        with pytest.raises(LedgerBroken), ledger.claim(claim("99"), 1):
            pytest.fail("it was let through")
        with pytest.raises(LedgerBroken):
            ledger.record(entry("99"))


def test_a_whole_frame_that_is_cut_off_is_noticed_by_the_index(folder: Path) -> None:
    *_, last = disk.walk(folder)
    before = [frame.end.offset for frame in disk.walk(folder)][-2]
    cut(only(folder), last.end.offset - before)
    assert disk.verify(folder).entries == 4
    with opened(folder) as ledger:
        assert "knows" in str(ledger.fault())


def test_a_ledger_that_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    assert "is gone" in str(Ledger(tmp_path / "nowhere").fault())


# --- a disk that fails --------------------------------------------------------------------------


def test_after_a_failed_fsync_nothing_is_signed_any_more(tmp_path: Path) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with opened(tmp_path / "ledger", sync=fail) as ledger:
        with pytest.raises(PossiblySigned, match="Input/output"):
            ledger.record(entry("01"))
        with pytest.raises(LedgerBroken, match="durable"):
            ledger.check()


@contextmanager
def full_disk(octets: int) -> Iterator[None]:
    """No file of this process may grow beyond so many octets."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_releases_nothing_and_passes(folder: Path) -> None:
    with opened(folder) as ledger:
        size = only(folder).stat().st_size
        with full_disk(size + 100), pytest.raises(LedgerBroken, match="could not be written"):
            ledger.record(entry("05", tbs=bytes(500)))
        assert only(folder).stat().st_size == size
        ledger.record(entry("06"))
    assert [one.mark for one in disk.read(folder)][-2:] == ["04", "06"]


def test_a_restart_with_many_entries_is_quick(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    with opened(folder, sync=lambda _: None) as ledger:
        for start in range(0, 20_000, 500):
            ledger.record(*(entry(f"{n:06x}", tbs=bytes(600)) for n in range(start, start + 500)))
    start = time.monotonic()
    with opened(folder) as ledger:
        ledger.check()
    assert time.monotonic() - start < 0.5


def test_what_the_index_does_not_vouch_for_is_written_and_synced_again(folder: Path) -> None:
    """After a failed fsync it may be in memory alone, and look to the kernel as if it were on the disk."""
    without_index(folder)
    before, synced = only(folder).read_bytes(), []
    with opened(folder, sync=lambda descriptor: synced.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))):
        assert synced == [str(only(folder))]
    with opened(folder, sync=synced.append):
        assert len(synced) == 1, "the index vouches for all of it"
    assert only(folder).read_bytes() == before


# --- pages --------------------------------------------------------------------------------------


def test_pages_of_any_size_are_the_whole_ledger(tmp_path: Path) -> None:
    """Over the ends of segments too, and no page is longer than was asked for by more than a frame."""
    with opened(tmp_path / "ledger", segment=400) as ledger:
        for n in range(12):
            ledger.record(entry(f"{n:02d}"))
    assert len(disk.segments(tmp_path / "ledger")) > 2
    for octets, longest in ((1, 1), (300, 4), (1 << 20, 12)):
        found, page = [], disk.page(tmp_path / "ledger", None, octets)
        while True:
            assert len(page.entries) <= longest
            found += page.entries
            if not page.more:
                break
            page = disk.page(tmp_path / "ledger", page.end, octets)
        assert found == list(disk.read(tmp_path / "ledger"))


def test_a_page_goes_on_with_what_came_meanwhile(folder: Path) -> None:
    end = disk.page(folder, None, 1 << 20).end
    assert disk.page(folder, end, 1 << 20) == disk.Page((), end, more=False)
    with opened(folder) as ledger:
        ledger.record(entry("99"))
    assert [one.mark for one in disk.page(folder, end, 1 << 20).entries] == ["99"]


def test_a_place_that_is_none_shows_nothing(folder: Path) -> None:
    """Whoever may read pages may ask for any place; it is no way to read what is no ledger."""
    end = disk.page(folder, None, 1).end
    for lie in ({"chain": bytes(32)}, {"offset": end.offset + 1}, {"segment": 7}, {"segment": -1}, {"offset": -9}):
        with suppress(LedgerBroken):
            assert disk.page(folder, replace(end, **lie), 1 << 20).entries == ()
