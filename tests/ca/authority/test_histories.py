"""Any history of an issuing CA: nothing unexpired is ever lost from a list, CRL and OCSP agree, numbers only rise.

Issue, revoke, upgrade, hold, release, revoke many, expire, take the signer away, restart, clean up, change the number
of shards: hypothesis draws histories and holds each against a model that is a dictionary.
"""

import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ca.errors import Conflict, HSMError
from ca.records import Query, Reason, RevokeRequest, serial_shard
from tests.ca.authority.fast import ISSUER, FastWorld, number
from tests.ca.authority.world import OPERATOR
from tests.ca.conftest import Hierarchy

pytestmark = pytest.mark.slow

DAY = 86400
REASONS = st.sampled_from([Reason.UNSPECIFIED, Reason.SUPERSEDED, Reason.KEY_COMPROMISE])
PICK = st.integers(0, 10**6)


class History(RuleBasedStateMachine):
    """The model: of each serial its end and, while it is revoked or on hold, the reason."""

    hierarchy: ClassVar[Hierarchy]
    template: ClassVar[Path]

    @initialize(deltas=st.booleans())
    def begin(self, deltas: bool) -> None:
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        more = {"delta_crl_life": DAY} if deltas else {}
        self.world = FastWorld(Path(self.folder.name), self.hierarchy, self.template, **more)
        self.ends: dict[int, int] = {}
        self.reasons: dict[int, Reason] = {}
        self.numbers: dict[str, tuple[int, Any]] = {}
        self.told: dict[str, tuple[int, set[int]]] = {}
        self.released: set[int] = set()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()
            self.folder.cleanup()

    # --- what may happen ---

    @rule(days=st.integers(1, 12), owner=st.sampled_from(["a", "b"]))
    def issue(self, days: int, owner: str) -> None:
        try:
            made = self.world.issue(validity=days * DAY, owner=owner)
        except HSMError:
            return
        self.ends[made.serial] = made.not_after

    @precondition(lambda self: self.ends)
    @rule(pick=PICK, reason=REASONS)
    def revoke(self, pick: int, reason: Reason) -> None:
        serial = self._picked(pick)
        known = self.reasons.get(serial)
        allowed = known in (None, Reason.CERTIFICATE_HOLD) or (
            reason is Reason.KEY_COMPROMISE and known is not Reason.KEY_COMPROMISE
        )
        if self._did(lambda: self._revoke(serial, reason), allowed):
            self.reasons[serial] = reason

    @precondition(lambda self: self.ends)
    @rule(pick=PICK)
    def hold(self, pick: int) -> None:
        serial = self._picked(pick)
        if self._did(lambda: self._revoke(serial, Reason.CERTIFICATE_HOLD), serial not in self.reasons):
            self.reasons[serial] = Reason.CERTIFICATE_HOLD

    @precondition(lambda self: self.ends)
    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        serial = self._picked(pick)
        held = self.reasons.get(serial) is Reason.CERTIFICATE_HOLD
        request = RevokeRequest(Reason.UNSPECIFIED, OPERATOR)
        if self._did(lambda: self.world.authority.release(ISSUER, serial, request), held):
            del self.reasons[serial]
            self.released.add(serial)

    @rule(owner=st.sampled_from(["a", "b"]))
    def revoke_many(self, owner: str) -> None:
        request = RevokeRequest(Reason.SUPERSEDED, OPERATOR)
        mass = self.world.authority.begin_mass(Query(owner=owner), request)
        try:
            self.world.authority.go_on_with_mass(mass.id)
        except HSMError:
            assert self.world.signer.away
        now = self.world.clock.now
        for serial, end in self.ends.items():
            own = self.world.authority.certificate(serial).owner == owner
            if own and end >= now and self.reasons.get(serial) in (None, Reason.CERTIFICATE_HOLD):
                self.reasons[serial] = Reason.SUPERSEDED

    @rule(hours=st.integers(1, 100))
    def time_passes(self, hours: int) -> None:
        if self.world.clock.now + hours * 3600 < self.world.hierarchy.now + 15 * DAY:
            self.world.clock.now += hours * 3600

    @rule(count=st.integers(1, 3))
    def reshard(self, count: int) -> None:
        try:
            self.world.authority.reshard(ISSUER, count, OPERATOR)
        except HSMError:
            assert self.world.signer.away

    @rule(away=st.booleans())
    def signer(self, away: bool) -> None:
        self.world.signer.away = away

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule()
    def clean_up(self) -> None:
        self.world.authority.store.expire_idempotency(self.world.clock.now + 999 * DAY)
        self.world.authority.sweep_intents()

    @rule()
    def run_the_jobs(self) -> None:
        """Whoever was late catches up; then lists and answers say exactly what the model says."""
        try:
            report = self.world.authority.publish_crls()
            self.world.authority.refresh_ocsp()
        except HSMError:
            assert self.world.signer.away
            return
        assert report.failed == 0
        self._agrees()

    # --- what must always hold ---

    @invariant()
    def numbers_and_times_only_rise(self) -> None:
        for path, one in self._lists():
            before = self.numbers.get(path)
            now = number(one), one.last_update_utc
            assert before is None or before == now or (now[0] > before[0] and now[1] >= before[1])
            self.numbers[path] = now

    @invariant()
    def nothing_unexpired_is_lost(self) -> None:
        """INC-01, L-07: what a list told stays until a list that was made after its end, or its hold was released."""
        for path, one in self._lists():
            serials = {entry.serial_number for entry in one}
            this_update = int(one.last_update_utc.timestamp())
            made, before = self.told.get(path, (0, set()))
            for serial in before - serials - self.released:
                assert self.ends[serial] < made
            self.told[path] = this_update, serials

    # --- helpers ---

    def _lists(self) -> list[tuple[str, x509.CertificateRevocationList]]:
        if not hasattr(self, "world"):
            return []
        folder = self.world.authority.publisher.folder
        return [(path, self.world.crl(path=path)) for path in folder.names(f"crl/{ISSUER}")]

    def _agrees(self) -> None:
        now = self.world.clock.now
        for serial, end in self.ends.items():
            if end < now:
                continue
            reason = self.reasons.get(serial)
            answer = self.world.answer(serial)
            listed = self.world.entries(serial_shard(serial)).get(serial)
            assert listed == (reason.value if reason else None)
            good = answer.certificate_status is ocsp.OCSPCertStatus.GOOD
            assert good == (reason is None)
            said = answer.revocation_reason.value if answer.revocation_reason else "unspecified"
            assert reason is None or said == reason.value
            [when] = [
                e.revocation_date_utc for e in self.world.crl(serial_shard(serial)) if e.serial_number == serial
            ] or [None]
            assert answer.revocation_time_utc == when, "O-14"

    def _picked(self, pick: int) -> int:
        return sorted(self.ends)[pick % len(self.ends)]

    def _revoke(self, serial: int, reason: Reason) -> None:
        self.world.authority.revoke_serial(ISSUER, serial, RevokeRequest(reason, OPERATOR))

    def _did(self, deed: Any, allowed: bool) -> bool:
        """Does it, and finds that it was allowed exactly when the model says so."""
        if allowed:
            deed()
            return True
        with pytest.raises(Conflict):
            deed()
        return False


def test_of_any_history_nothing_is_lost_and_all_agrees(hierarchy: Hierarchy, template: Path) -> None:
    """CERTWRIGHT_HISTORIES=1000 tries a thousand, in a minute."""
    from hypothesis.stateful import run_state_machine_as_test

    History.hierarchy, History.template = hierarchy, template
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=int(os.environ.get("CERTWRIGHT_HISTORIES", "40")),
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
