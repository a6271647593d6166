"""Nonces: sealed, good once, on this node, since this boot, for a while (A-11, A-12)."""

import multiprocessing
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from acme_server import nonces as module
from acme_server.errors import BadNonce, Malformed
from acme_server.nonces import Nonces, boot_id
from acme_server.strict import decode, encode
from ca.errors import ConfigError


class Time:
    now = 1_800_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def nonces(tmp_path: Path, time: Time) -> Nonces:
    return Nonces(tmp_path, 3600, time)


def test_A11_a_nonce_is_good_once(nonces: Nonces) -> None:
    nonce = nonces.make()
    nonces.redeem(nonce)
    with pytest.raises(BadNonce, match="used already"):
        nonces.redeem(nonce)


def test_A11_nonces_differ_and_tell_nothing(nonces: Nonces) -> None:
    made = [nonces.make() for _ in range(500)]
    assert len(set(made)) == 500
    assert len({nonce[:16] for nonce in made}) == 500


def test_A11_an_old_nonce_expires(nonces: Nonces, time: Time) -> None:
    first, second = nonces.make(), nonces.make()
    time.now += 3600
    nonces.redeem(first)
    time.now += 1
    with pytest.raises(BadNonce, match="expired"):
        nonces.redeem(second)


def test_a_clock_set_back_a_little_does_no_harm(nonces: Nonces, time: Time) -> None:
    first, second = nonces.make(), nonces.make()
    time.now -= 60
    nonces.redeem(first)
    time.now -= 3600
    with pytest.raises(BadNonce):
        nonces.redeem(second)


@pytest.mark.parametrize("nonce", ["AAAA", encode(bytes(12)), encode(bytes(36)), encode(bytes(80)), "YQ"])
def test_A11_invented_nonces_are_bad(nonces: Nonces, nonce: str) -> None:
    with pytest.raises(BadNonce):
        nonces.redeem(nonce)


def test_A11_each_changed_octet_is_noticed(nonces: Nonces) -> None:
    raw = decode(nonces.make(), "it")
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        with pytest.raises(BadNonce):
            nonces.redeem(encode(bytes(changed)))
    nonces.redeem(encode(raw))


def test_A12_other_characters_are_malformed(nonces: Nonces) -> None:
    for nonce in (nonces.make() + "=", "a b", "é"):
        with pytest.raises(Malformed):
            nonces.redeem(nonce)


def test_another_node_s_nonce_is_bad(nonces: Nonces, tmp_path: Path, time: Time) -> None:
    other = Nonces(tmp_path / "other", 3600, time)
    with pytest.raises(BadNonce):
        nonces.redeem(other.make())


def test_a_new_boot_voids_nonces_and_forgets_the_old_set(tmp_path: Path, time: Time) -> None:
    before = Nonces(tmp_path, 3600, time, boot="first")
    nonce, used = before.make(), before.make()
    before.redeem(used)
    before.close()
    after = Nonces(tmp_path, 3600, time, boot="second")
    for old in (nonce, used):
        with pytest.raises(BadNonce):
            after.redeem(old)
    assert len(list(tmp_path.glob("*.ring"))) == 1


def test_a_restart_of_processes_voids_nothing(tmp_path: Path, time: Time) -> None:
    before = Nonces(tmp_path, 3600, time)
    fresh, used = before.make(), before.make()
    before.redeem(used)
    before.close()
    after = Nonces(tmp_path, 3600, time)
    after.redeem(fresh)
    with pytest.raises(BadNonce):
        after.redeem(used)


def test_the_ring_keeps_the_newest(tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded: who takes nonces without end only makes the oldest ones bad."""
    monkeypatch.setattr(module, "KEPT", 64)
    nonces = Nonces(tmp_path, 3600, time)
    made = [nonces.make() for _ in range(200)]
    for nonce in made[:136]:
        with pytest.raises(BadNonce, match="too many"):
            nonces.redeem(nonce)
    for nonce in made[136:]:
        nonces.redeem(nonce)
        with pytest.raises(BadNonce, match="used already"):
            nonces.redeem(nonce)
    for _ in range(100):
        nonces.redeem(nonces.make())


def test_a_map_never_meets_a_full_disk(nonces: Nonces, tmp_path: Path) -> None:
    """A hole touched on a full disk is SIGBUS: each block has its place from the beginning."""
    [file] = tmp_path.glob("*.ring")
    assert file.stat().st_blocks * 512 >= file.stat().st_size


def test_the_seal_is_readable_by_its_owner_alone(nonces: Nonces, tmp_path: Path) -> None:
    for file in tmp_path.glob("*.ring"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, time: Time) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="nonce_dir"):
        Nonces(tmp_path / "file", 3600, time)


def test_boot_id_stays(nonces: Nonces) -> None:
    assert boot_id() == boot_id() != ""


# --- races --------------------------------------------------------------------------------------


def _once_each(redeem: Callable[[str], None], shared: list[str]) -> int:
    done = 0
    for nonce in shared:
        try:
            redeem(nonce)
            done += 1
        except BadNonce:
            continue
    return done


def test_A11_of_threads_that_race_one_wins(nonces: Nonces) -> None:
    shared = [nonces.make() for _ in range(200)]
    won: list[int] = []
    threads = [threading.Thread(target=lambda: won.append(_once_each(nonces.redeem, shared))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == len(shared)


def _worker(folder: Path, shared: list[str], won: "multiprocessing.Queue[int]") -> None:
    own = Nonces(folder, 3600, Time())
    own.redeem(own.make())
    won.put(_once_each(own.redeem, shared))


def test_A11_workers_share_key_and_set(nonces: Nonces, tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    won = spawn.Queue()
    shared = [nonces.make() for _ in range(100)]
    workers = [spawn.Process(target=_worker, args=(tmp_path, shared, won)) for _ in range(3)]
    for worker in workers:
        worker.start()
    total = sum(won.get(timeout=20) for _ in workers)
    for worker in workers:
        worker.join()
    assert total == len(shared)
