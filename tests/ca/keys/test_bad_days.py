"""A real signer over an HSM that has bad days (shim.c): nothing wrong leaves, and it recovers by itself."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from ca.errors import CAError, HSMBusy, HSMError, HSMUnavailable, KeyMismatch, PinRefused, PossiblySigned
from ca.keys.client import SignerClient
from ca.keys.signer.custody import LONGEST_BACKOFF
from ca.keys.softhsm import softhsm_environment
from ca.records import Key
from tests.ca.keys.shim import Fault, Shim
from tests.ca.keys.world import Signer, issuer_of, leaf, make_signer, wait_until

pytestmark = pytest.mark.slow
SIGNER = ("[signer]", 'timeout = "3s"')
"""A call that hangs is known to hang sooner than by default."""


@dataclass
class Bad:
    """A signer over the shim, with a certified issuing key."""

    signer: Signer
    shim: Shim
    client: SignerClient
    key: Key
    certificate: x509.Certificate

    def leaf(self) -> None:
        """Has one certificate signed, which must be right."""
        leaf(self.client, self.key, self.certificate).verify_directly_issued_by(self.certificate)

    def signs(self, client: SignerClient | None = None) -> bool:
        try:
            leaf(client or self.client, self.key, self.certificate).verify_directly_issued_by(self.certificate)
        except HSMError:
            return False
        return True

    def refused(self) -> HSMError:
        """The error of one request that has to fail."""
        with pytest.raises(HSMError) as raised:
            self.leaf()
        return raised.value

    def rests(self) -> bool:
        """Whether the signer has noticed: from here on nobody's serial is lost."""
        return not isinstance(self.refused(), PossiblySigned)


@pytest.fixture(scope="module")
def bad(module: str, fresh_tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bad]:
    folder = tmp_path_factory.mktemp("bad")
    shim = Shim(folder, module)
    signer = make_signer(folder / "signer", str(shim.path), fresh_tokens)
    values = {**softhsm_environment(folder / "signer" / "hsm"), **shim.environment}
    text = (signer.folder / "certwright.toml").read_text().splitlines()[:-1]
    inline = ", ".join(f'{name} = "{value}"' for name, value in values.items())
    (signer.folder / "certwright.toml").write_text("\n".join([*text, f"environment = {{ {inline} }}", *SIGNER]) + "\n")
    client = signer.start()
    yield Bad(signer, shim, client, *issuer_of(client, "issuing-g1"))
    assert signer.process is not None
    if signer.process.poll() is None:
        shim.have(Fault.WELL)
        assert signer.stop() == 0


@pytest.fixture(autouse=True)
def well(bad: Bad) -> Iterator[None]:
    """Each test begins and ends with an HSM that is well, and a signer that has noticed."""
    wait_until(lambda: bad.client.health().ok and bad.signs())
    yield
    bad.shim.have(Fault.WELL)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.GONE,
        Fault.WRONG,
        Fault.SESSIONS_INVALID,
        Fault.SESSIONS_CLOSED,
        Fault.OPERATION_ACTIVE,
        Fault.REPLACED,
        Fault.GENERAL_ERROR,
        Fault.HOST_MEMORY,
    ],
)
def test_nothing_leaves_while_it_lasts_and_it_recovers_by_itself(bad: Bad, fault: Fault) -> None:
    with bad.shim.having(fault):
        if fault is not Fault.REPLACED:  # what an open session knows of the old token stays true until somebody looks
            bad.refused()
        wait_until(lambda: not bad.client.health().ok)
        wait_until(bad.rests)
        before = bad.shim.signs
        for _ in range(50):
            assert isinstance(bad.refused(), HSMUnavailable | KeyMismatch)
        # Not the requests touched the key, but a few canaries.
        assert bad.shim.signs - before < 10
    assert wait_until(bad.signs) < 5
    assert wait_until(lambda: bad.client.health().ok) < 5


def test_sessions_that_died_once_cost_nobody_anything(bad: Bad) -> None:
    """The HSM was restarted between two signatures: the next one opens what it needs."""
    for fault in (Fault.SESSIONS_INVALID, Fault.SESSIONS_CLOSED):
        with bad.shim.having(fault):
            bad.refused()
        assert wait_until(bad.signs) < 5


def test_a_slow_hsm_is_waited_for(bad: Bad) -> None:
    with bad.shim.having(Fault.SLOW, milliseconds=300):
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: bad.leaf(), range(8)))
        assert time.monotonic() - began < 5
    assert bad.client.health().ok


@pytest.mark.parametrize("fault", [Fault.PIN_INCORRECT, Fault.PIN_LOCKED])
def test_a_pin_that_was_changed_is_tried_once(bad: Bad, fault: Fault) -> None:
    said = bad.signer.log.count("hsm.unavailable")
    before = bad.shim.logins
    with bad.shim.having(Fault.SESSIONS_INVALID):
        bad.refused()
        wait_until(lambda: not bad.client.health().ok)
        bad.shim.have(fault)
        wait_until(lambda: bad.client.health().pin_refused)
        assert isinstance(bad.refused(), PinRefused)
        time.sleep(LONGEST_BACKOFF + 0.5 if fault is Fault.PIN_INCORRECT else 0.0)
        tries = bad.shim.logins - before
    # Well again, and still it is not tried: an operator says so.
    assert isinstance(bad.refused(), PinRefused)
    assert tries == bad.shim.logins - before
    words = [line for line in bad.signer.log.splitlines() if fault.name in line and "hsm.unavailable" in line]
    assert len(words) == 1
    assert bad.signer.log.count("hsm.unavailable") - said <= 3
    bad.client.unlock()
    bad.leaf()


def test_a_call_that_hangs_and_comes_back_late_signs_for_nobody_else(bad: Bad) -> None:
    """The asker gave up after two seconds; what comes back later stands in the ledger and reaches nobody."""
    impatient = bad.signer.client(timeout=0.5)
    with bad.shim.having(Fault.HANGING):
        with pytest.raises(PossiblySigned):
            leaf(impatient, bad.key, bad.certificate)
        before = bad.shim.signs
        # The next one has a turn of its own, and hangs beside it; health says so.
        with pytest.raises(PossiblySigned):
            leaf(impatient, bad.key, bad.certificate)
        assert bad.shim.signs == before + 1
        wait_until(lambda: "has been running for" in bad.client.health().detail)
        # Twice in a row nothing came: nobody is sent into it any more.
        with pytest.raises(HSMUnavailable, match="does not answer in time"):
            leaf(impatient, bad.key, bad.certificate)
        assert bad.shim.signs == before + 1
    assert wait_until(lambda: bad.signs(impatient)) < 5
    assert bad.signer.process is not None
    assert bad.signer.process.poll() is None


def test_a_signer_that_was_stopped_signs_for_nobody_who_has_left(bad: Bad) -> None:
    impatient = bad.signer.client(timeout=0.2)
    assert bad.signer.process is not None
    bad.leaf()
    before = bad.client.health().signed
    bad.signer.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(PossiblySigned):
                leaf(impatient, bad.key, bad.certificate)
        began = time.monotonic()
        with pytest.raises(HSMUnavailable):
            bad.client.health()
        assert time.monotonic() - began < 3
    finally:
        bad.signer.process.send_signal(signal.SIGCONT)
    wait_until(lambda: bad.client.health().ok)
    time.sleep(0.5)
    assert bad.client.health().signed == before
    bad.leaf()


@pytest.mark.parametrize("fault", [Fault.ABORTING, Fault.SEGFAULTING, Fault.HANGING])
def test_the_process_ends_and_its_successor_lets_nobody_in_before_the_token_is_well(bad: Bad, fault: Fault) -> None:
    """A crash ends it at once, a call that hangs after its time; the supervisor starts another one."""
    process = bad.signer.process
    assert process is not None
    with bad.shim.having(fault):
        assert isinstance(bad.refused(), PossiblySigned)
        assert process.wait(20) == {Fault.ABORTING: -6, Fault.SEGFAULTING: -11, Fault.HANGING: 75}[fault]
        if fault is Fault.HANGING:
            assert "token.stuck" in bad.signer.log
            again = bad.signer.start(ready=None)
            for _ in range(3):
                with pytest.raises(HSMUnavailable) as raised:
                    leaf(again, bad.key, bad.certificate)
                assert not isinstance(raised.value, PossiblySigned)
    if fault is not Fault.HANGING:
        bad.signer.start(ready=None)
    assert wait_until(bad.signs) < 5


def test_every_serial_was_signed_once(bad: Bad) -> None:
    """After all these days: the ledger is whole, and no certificate stands in it twice."""
    from ca.keys import ledger

    folder = bad.signer.folder / "state" / "signer" / "ledger"
    marks = [one.mark for frame in ledger.walk(folder) for one in frame.entries if one.kind == "certificate"]
    assert marks
    assert len(marks) == len(set(marks))


def test_the_errors_of_a_bad_day_say_what_to_do(bad: Bad) -> None:
    with bad.shim.having(Fault.GENERAL_ERROR):
        bad.refused()
        wait_until(bad.rests)
        error: CAError = bad.refused()
        assert not isinstance(error, HSMBusy)
        assert error.next_step
