"""The desk over a real token that is made to fail in named ways."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ca.clock import system_clock, system_reading
from ca.config import Config
from ca.errors import (
    BadRequest,
    CAError,
    Conflict,
    Denied,
    HSMBusy,
    KeyMismatch,
    NotFound,
    PossiblySigned,
    SigningRefused,
)
from ca.keys import wire
from ca.keys.pin import RefusedPin
from ca.keys.signer.book import Book
from ca.keys.signer.custody import Custody
from ca.keys.signer.desk import Desk, Limits
from ca.keys.signer.lanes import Lanes
from ca.keys.signer.ledger import Ledger
from ca.keys.signer.peers import FULL, Grant, Peers
from ca.keys.signer.pins import Pinned, Pins
from ca.keys.signer.rates import configured
from ca.keys.signer.tally import Tally
from ca.keys.signer.wallclock import Guard
from ca.keys.token import Token, TokenKey
from ca.records import Key, KeyPurpose, SignKind
from tests.ca.keys.world import wait_until

CHECKPOINT = b"ca.example/audit\n1\n" + b"A" * 43 + b"=\n"


class SoundToken:
    """A token that is lent, and so is not closed."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def __getattr__(self, name: str) -> object:
        return getattr(self._token, name)

    def close(self) -> None:
        pass


class FlippedBit(SoundToken):
    """A token whose signatures have one bit wrong, but for the canary when it is opened."""

    wrong = False

    def sign(self, key_id: bytes, algorithm: str, data: bytes) -> bytes:
        signature = bytearray(self._token.sign(key_id, algorithm, data))
        signature[-1] ^= self.wrong
        self.wrong = True
        return bytes(signature)


class ExchangedKey(SoundToken):
    """A token that holds another key under the same CKA_ID."""

    def describe(self, key_id: bytes, algorithm: str) -> TokenKey:
        other = self._token.generate("other", secrets.token_bytes(16), algorithm)
        return TokenKey(key_id, "other", algorithm, other.spki, other.attributes)


@contextmanager
def desk(pins: Pins, token: SoundToken, folder: Path) -> Iterator[Desk]:
    custody = Custody(lambda pin: token, lambda: "0000", RefusedPin(folder / "refused"), pins)  # type: ignore[arg-type, return-value]
    ledger = Ledger(folder)
    book = Book(ledger, Tally(ledger, system_clock), system_clock)
    custody.start()
    limits = Limits(5.0, 30, 398 * 86400, configured(Config().signer.rates))
    yield Desk(custody, pins, Lanes(2, 10), book, limits, Guard(system_reading, folder / "clock.json", ledger))
    custody.stop()
    ledger.close()


@pytest.fixture
def pins(tmp_path: Path, token: Token, keys: dict[str, TokenKey]) -> Pins:
    made = Pins(tmp_path / "keys.json")
    key = keys["ed25519"]
    made.add(Pinned(Key("journal-g1", KeyPurpose.JOURNAL, "ed25519", key.spki), key.key_id))
    return made


def sign() -> wire.Sign:
    return wire.Sign(1, 5.0, "journal-g1", SignKind.CHECKPOINT, CHECKPOINT)


def test_a_sound_token_signs(pins: Pins, token: Token, tmp_path: Path) -> None:
    with desk(pins, SoundToken(token), tmp_path) as here:
        assert len(here.answer(FULL, sign()).signature) == 64  # type: ignore[union-attr]
        assert here.state().signed == {"checkpoint": 1}
        assert here.state().software


def test_a_signature_that_does_not_verify_never_leaves(pins: Pins, token: Token, tmp_path: Path) -> None:
    with desk(pins, FlippedBit(token), tmp_path) as here:
        with pytest.raises(PossiblySigned, match="does not verify"):
            here.answer(FULL, sign())
        assert here.state().signed == {}
        # The next canary shows it: from then on the key is not used, and its askers lose nothing.
        wait_until(lambda: "journal-g1" in here.state().faults)
        with pytest.raises(KeyMismatch, match="does not verify"):
            here.answer(FULL, sign())


def test_nothing_is_signed_for_an_asker_whose_time_is_over(pins: Pins, token: Token, tmp_path: Path) -> None:
    with desk(pins, SoundToken(token), tmp_path) as here:
        wait_until(lambda: here.state().ok)
        with pytest.raises(HSMBusy, match="after the asker's time"):
            here.answer(FULL, wire.Sign(1, 0.0, "journal-g1", SignKind.CHECKPOINT, CHECKPOINT))
        assert here.state().signed == {}
        assert here.answer(FULL, sign())


def test_kc08_a_key_whose_test_signature_fails_is_not_pinned(pins: Pins, token: Token, tmp_path: Path) -> None:
    with desk(pins, FlippedBit(token), tmp_path) as here:
        with pytest.raises(PossiblySigned):
            here.answer(FULL, wire.Generate(1, 5.0, "journal-g2", KeyPurpose.JOURNAL, "ec-p256"))
        with pytest.raises(NotFound):
            pins.get("journal-g2")


def test_an_exchanged_key_is_found_before_it_signs(pins: Pins, token: Token, tmp_path: Path) -> None:
    with desk(pins, ExchangedKey(token), tmp_path) as here:
        with pytest.raises(KeyMismatch, match="holds another key"):
            here.answer(FULL, sign())
        health = here.state()
        assert not health.ok
        assert set(health.faults) == {"journal-g1"}


@pytest.mark.parametrize("purpose", [KeyPurpose.ROOT, KeyPurpose.RESPONDER])
def test_no_client_has_a_root_or_a_responder_made(
    pins: Pins, token: Token, tmp_path: Path, purpose: KeyPurpose
) -> None:
    with desk(pins, SoundToken(token), tmp_path) as here, pytest.raises(SigningRefused):
        here.answer(FULL, wire.Generate(1, 5.0, "mine", purpose, "ec-p256"))


@pytest.mark.parametrize("key_id", ["", "-", "Issuing", "a" * 64, "a/b", "a\n", "ä"])
def test_a_key_id_follows_its_grammar(pins: Pins, token: Token, tmp_path: Path, key_id: str) -> None:
    with desk(pins, SoundToken(token), tmp_path) as here, pytest.raises(BadRequest):
        here.answer(FULL, wire.Generate(1, 5.0, key_id, KeyPurpose.JOURNAL, "ec-p256"))


def test_a_taken_id_is_refused_before_a_key_is_made(pins: Pins, token: Token, tmp_path: Path) -> None:
    with desk(pins, SoundToken(token), tmp_path) as here, pytest.raises(Conflict):
        here.answer(FULL, wire.Generate(1, 5.0, "journal-g1", KeyPurpose.JOURNAL, "ec-p256"))
    assert token.find("journal-g1") == ()


# --- peers --------------------------------------------------------------------------------------

NARROW = Grant(frozenset({"sign", "health"}), frozenset({"journal-g1"}), frozenset({SignKind.CHECKPOINT}))


@pytest.mark.parametrize(
    "request_",
    [
        wire.Keys(1, 1.0),
        wire.Unlock(1, 1.0),
        wire.Generate(1, 1.0, "journal-g1", KeyPurpose.JOURNAL, "ec-p256"),
        wire.Sign(1, 1.0, "issuing-g1", SignKind.CHECKPOINT, CHECKPOINT),
        wire.Sign(1, 1.0, "journal-g1", SignKind.CERTIFICATE, CHECKPOINT),
        wire.RenewResponder(1, 1.0, "journal-g1"),
    ],
)
def test_a_peer_gets_what_its_grant_covers_and_no_more(
    pins: Pins, token: Token, tmp_path: Path, request_: wire.Requests
) -> None:
    with desk(pins, SoundToken(token), tmp_path) as here:
        assert here.answer(NARROW, sign())
        with pytest.raises(Denied):
            here.answer(NARROW, request_)


def test_an_unknown_uid_is_refused() -> None:
    peers = Peers({7: FULL})
    assert peers.grant(7) == replace(FULL, uid=7)
    for uid in (0, 6, 65534):
        with pytest.raises(Denied):
            peers.grant(uid)


def test_the_full_grant_names_every_operation() -> None:
    tags = {str(kind.__struct_config__.tag) for kind in wire.Request.__subclasses__()}
    assert tags == set(FULL.operations)


def test_errors_travel_whole() -> None:
    """Each class of the family comes out at the other end as itself, with its words."""
    from ca.keys.client import rebuilt

    def family(root: type[CAError]) -> Iterator[type[CAError]]:
        for kind in root.__subclasses__():
            yield kind
            yield from family(kind)

    for kind in family(CAError):
        if kind.__module__ != "ca.errors":
            continue  # families of rooms above never pass through the signer
        more = {"retry_after": 3} if kind.code == "rate-limited" else {}
        frame = wire.encode(wire.failure(4, kind("what", next_step="do", **more)))  # type: ignore[arg-type]
        answer = wire.decode_answer(frame)
        assert isinstance(answer, wire.Failure)
        again = rebuilt(answer)
        assert (type(again), again.detail, again.next_step) == (kind, "what", "do")
