"""The signer in trouble: PIN refused, token or module gone, killed under load. Each test starts its own."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest

from ca.errors import CAError, Conflict, HSMUnavailable, PinRefused, PossiblySigned
from ca.keys.client import SignerClient
from ca.records import KeyPurpose, SignKind
from tests.ca.keys.world import PIN, ROOT, Signer, answers, issuer_of, leaf, wait_until

pytestmark = pytest.mark.slow
CHECKPOINT = b"ca.example/audit\n1\n" + b"A" * 43 + b"=\n"


def test_a_refused_pin_is_never_tried_again_by_itself(new_signer: Signer) -> None:
    new_signer.pin("999999")
    client = new_signer.start(ready=False)
    assert client.health().pin_refused
    with pytest.raises(PinRefused):
        client.generate("issuing-g1", KeyPurpose.ISSUING, "ec-p256")
    # The watch looks at the PIN's source again and again, and keeps its hands off the token.
    wait_until(lambda: "refused this PIN before" in client.health().detail)
    new_signer.stop(signal.SIGKILL)
    again = new_signer.start(ready=False)
    with pytest.raises(PinRefused, match="refused this PIN before"):
        again.generate("issuing-g1", KeyPurpose.ISSUING, "ec-p256")
    assert len([line for line in new_signer.log.splitlines() if "hsm.unavailable" in line and "INCORRECT" in line]) == 1
    new_signer.pin(PIN)
    assert wait_until(lambda: again.health().ok) < 5
    assert "999999" not in new_signer.log
    assert PIN not in new_signer.log
    assert new_signer.stop() == 0


def test_an_operator_may_have_the_pin_tried_once_more(new_signer: Signer) -> None:
    new_signer.pin("999999")
    client = new_signer.start(ready=False)
    with pytest.raises(PinRefused, match="CKR_PIN_INCORRECT"):
        client.unlock()
    new_signer.pin(PIN)
    client.unlock()
    assert client.health().ok


def test_it_listens_without_a_module_and_finds_it_later(new_signer: Signer) -> None:
    place = new_signer.folder / "module.so"
    new_signer.configure(module=str(place))
    client = new_signer.start(ready=False)
    health = client.health()
    assert not health.ok
    assert "no PKCS#11 module" in health.detail
    with pytest.raises(HSMUnavailable):
        client.generate("issuing-g1", KeyPurpose.ISSUING, "ec-p256")
    place.symlink_to(new_signer.module)
    assert wait_until(lambda: client.health().ok) < 5


def test_it_listens_without_a_token_and_finds_it_later(new_signer: Signer) -> None:
    away = new_signer.folder / "away"
    new_signer.tokens.rename(away)
    new_signer.tokens.mkdir()
    client = new_signer.start(ready=False)
    assert "0 tokens labelled 'certwright'" in client.health().detail
    new_signer.tokens.rmdir()
    away.rename(new_signer.tokens)
    assert wait_until(lambda: client.health().ok) < 5


def test_a_token_that_goes_and_comes_back_is_used_again(new_signer: Signer) -> None:
    client = new_signer.start()
    key, certificate = issuer_of(client, "issuing-g1")
    away = new_signer.folder / "away"
    new_signer.tokens.rename(away)
    with pytest.raises(HSMUnavailable) as raised:
        leaf(client, key, certificate)
    assert raised.value.retry_after > 0
    wait_until(lambda: not client.health().ok)
    with pytest.raises(HSMUnavailable):
        leaf(client, key, certificate)
    away.rename(new_signer.tokens)
    took = wait_until(lambda: client.health().ok)
    assert took < 5
    leaf(client, key, certificate).verify_directly_issued_by(certificate)


def test_a_token_that_was_away_between_two_looks_is_opened_anew(new_signer: Signer) -> None:
    """SoftHSM answers for the slot again, but it has forgotten the keys."""
    client = new_signer.start()
    key, certificate = issuer_of(client, "issuing-g1")
    leaf(client, key, certificate)
    away = new_signer.folder / "away"
    new_signer.tokens.rename(away)
    with pytest.raises(HSMUnavailable):
        leaf(client, key, certificate)
    away.rename(new_signer.tokens)

    def signs() -> bool:
        try:
            return bool(leaf(client, key, certificate))
        except HSMUnavailable:
            return False

    assert wait_until(signs) < 5


def test_another_token_in_the_slot_is_a_mismatch(new_signer: Signer, fresh_tokens: Path) -> None:
    client = new_signer.start()
    key, certificate = issuer_of(client, "issuing-g1")
    new_signer.stop()
    for old in new_signer.tokens.glob("*/*.object"):
        if old.name != "token.object":
            old.unlink()
    again = new_signer.start(ready=False)
    health = again.health()
    assert not health.ok
    assert "issuing-g1" in health.faults
    with pytest.raises(HSMUnavailable, match="does not hold the key"):
        leaf(again, key, certificate)
    # The faulty key does not keep others from being made and used.
    again.generate("journal-g1", KeyPurpose.JOURNAL, "ed25519")
    assert again.sign("journal-g1", SignKind.CHECKPOINT, CHECKPOINT)


def test_killed_and_started_again_it_knows_its_keys(new_signer: Signer) -> None:
    client = new_signer.start()
    key, certificate = issuer_of(client, "issuing-g1")
    responder = client.renew_responder(key.id)
    before = client.keys()
    for _ in range(2):
        new_signer.stop(signal.SIGKILL)
        with pytest.raises(HSMUnavailable) as raised:
            leaf(client, key, certificate)
        assert "certwright serve" in raised.value.next_step
        new_signer.start()
        # The same client, with connections that died meanwhile.
        leaf(client, key, certificate).verify_directly_issued_by(certificate)
    assert client.keys() == before
    assert client.renew_responder(key.id) == responder


def test_killed_under_load_it_leaves_every_caller_with_a_clear_word(new_signer: Signer) -> None:
    client = new_signer.start()
    key, certificate = issuer_of(client, "issuing-g1")

    def until_it_ends(_: int) -> str:
        while True:
            try:
                leaf(client, key, certificate)
            except CAError as error:
                return error.code

    with ThreadPoolExecutor(4) as pool:
        results = pool.map(until_it_ends, range(4))
        time.sleep(0.5)
        new_signer.stop(signal.SIGKILL)
        codes = set(results)
    assert codes <= {PossiblySigned.code, HSMUnavailable.code}


def test_on_sigterm_it_answers_what_was_asked_and_goes(new_signer: Signer) -> None:
    client = new_signer.start()
    key, certificate = issuer_of(client, "issuing-g1")
    codes: list[str] = []

    def work() -> None:
        while True:
            try:
                leaf(client, key, certificate).verify_directly_issued_by(certificate)
            except CAError as error:
                codes.append(error.code)
                return

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert new_signer.stop(signal.SIGTERM) == 0
    for thread in threads:
        thread.join(10)
    assert not new_signer.socket.exists()
    assert "signer.stopped" in new_signer.log
    assert set(codes) <= {HSMUnavailable.code, PossiblySigned.code}


def test_a_second_signer_on_the_same_state_is_refused(new_signer: Signer) -> None:
    new_signer.start()
    command = [sys.executable, "-m", "ca.keys.signer", "--config", str(new_signer.folder / "certwright.toml")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert second.returncode == Conflict.exit_code
    assert "Another signer runs" in second.stderr
    assert "Traceback" not in second.stderr
    assert answers(new_signer.client())


def test_a_state_folder_that_cannot_be_used_is_said_plainly(new_signer: Signer) -> None:
    (new_signer.folder / "state").mkdir()
    (new_signer.folder / "state" / "signer").mkdir()
    (new_signer.folder / "state" / "signer" / "keys.json").write_text("{")
    command = [sys.executable, "-m", "ca.keys.signer", "--config", str(new_signer.folder / "certwright.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 5
    assert "keys.json cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_long_socket_path_works(new_signer: Signer) -> None:
    deep = new_signer.folder / ("d" * 60) / ("e" * 60) / "signer.sock"
    path = new_signer.folder / "certwright.toml"
    path.write_text(path.read_text() + f'[signer]\nsocket = "{deep}"\n')
    assert len(os.fsencode(deep)) > 108
    deep.parent.mkdir(parents=True)
    (new_signer.folder / "state").mkdir()
    new_signer.socket.symlink_to(deep)
    client = new_signer.start()
    assert client.health().ok
    assert SignerClient(deep).health().ok


STUCK = """
from threading import Event, Thread
from ca.keys.signer import process
from ca.keys.signer.calls import Calls

process._WATCH_SECONDS = 0.05
calls = Calls()

def hang():
    with calls.under_way(0.2):
        Event().wait()

Thread(target=hang).start()
process._until_told(calls)
"""


def test_a_token_that_hangs_ends_the_process_for_its_supervisor() -> None:
    """A thread inside the module cannot be taken back."""
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert done.returncode == 75
    assert "token.stuck" in done.stdout + done.stderr
