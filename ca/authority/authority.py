"""`Authority`: the list of use cases, each a line that names the module where it is told."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ca.authority import (
    adopt,
    answers,
    backups,
    chain,
    crls,
    health,
    integrity,
    managed,
    masses,
    policies,
    recovery,
    responders,
    rotation,
    shards,
    stopwatch,
    sweep,
    targets,
    trail,
    watch,
)
from ca.authority import issue as issuance
from ca.authority import probe as probing
from ca.authority import reconcile as reconciliation
from ca.authority import revoke as revocation
from ca.authority.desk import Desk
from ca.authority.masses import Tell, nothing
from ca.authority.reconcile import Reconciliation
from ca.authority.report import Check, Report, Revoked
from ca.authority.wallclock import WallClock
from ca.clock import Clock, Skew, system_clock
from ca.config import Config
from ca.folder import Folder
from ca.journal import Journal
from ca.journal import Report as JournalReport
from ca.journal.proof import Proof
from ca.keys.circuit import PLACES
from ca.keys.client import SignerClient
from ca.keys.ledger import Entry
from ca.policy import Policy
from ca.profiles import compile_all
from ca.publish import Publisher, feed
from ca.records import (
    Actor,
    Certificate,
    Issuer,
    IssueRequest,
    MassRevocation,
    Page,
    Query,
    Reason,
    RevokeRequest,
    Stopwatch,
)
from ca.store import Store, TargetState, open_store


class Authority(Desk):
    """The desk that faces, jobs and commands stand at. Rights are checked here, not in front of it."""

    # --- issuance and revocation --------------------------------------------------------------

    def issue(
        self,
        request: IssueRequest,
        within: issuance.Within = issuance.nothing,
        after: issuance.After = issuance.nothing,
    ) -> Certificate:
        """Issues one certificate: see `ca.authority.issue`."""
        return issuance.issue(self, request, within, after)

    def revoke(
        self, certificate: Certificate, reason: Reason, actor: Actor, comment: str = "", request_id: str = ""
    ) -> Revoked:
        """Revokes one certificate and publishes it: see `ca.authority.revoke`."""
        request = RevokeRequest(reason, actor, comment, request_id=request_id)
        return self.revoke_serial(certificate.issuer, certificate.serial, request)

    def revoke_serial(self, issuer_id: str, serial: int, request: RevokeRequest, end: int = 0) -> Revoked:
        """Revokes a serial, also of a certificate that was never stored: see `ca.authority.revoke`."""
        return revocation.revoke_serial(self, issuer_id, serial, request, end)

    def release(self, issuer_id: str, serial: int, request: RevokeRequest) -> Revoked:
        """Takes a hold back: see `ca.authority.revoke`."""
        return revocation.release(self, issuer_id, serial, request)

    def watch(self, revoked: Revoked, seconds: float = 2.0) -> Stopwatch:
        """Fetches a revocation back from outside and takes its time: see `ca.authority.stopwatch`."""
        return stopwatch.watch(self, revoked, seconds)

    def watch_revocations(self) -> tuple[Stopwatch, ...]:
        """Looks at every revocation that was not seen yet; answers those that were now."""
        return stopwatch.watch_all(self)

    def probe(self) -> tuple[probing.Probe, ...]:
        """Fetches what relying parties fetch, and says how fresh it is: see `ca.authority.probe`."""
        return probing.probe(self)

    def preview_mass(self, query: Query, request: RevokeRequest) -> tuple[int, tuple[Certificate, ...]]:
        """How many certificates a mass revocation would revoke, and some of them."""
        return masses.preview(self, query, request)

    def begin_mass(self, query: Query, request: RevokeRequest) -> MassRevocation:
        """Records a mass revocation; the scheduler, or whoever calls `go_on_with_mass`, carries it out."""
        return masses.begin(self, query, request)

    def go_on_with_mass(self, mass_id: str, tell: Tell = nothing, prepare: Tell = nothing) -> MassRevocation:
        """Carries a mass revocation on to its end: see `ca.authority.masses`."""
        return masses.go_on(self, mass_id, tell, prepare)

    def stop_mass(self, mass_id: str, request: RevokeRequest) -> MassRevocation:
        """Ends a mass revocation before its end."""
        return masses.stop(self, mass_id, request)

    def mass(self, mass_id: str) -> MassRevocation:
        """How far a mass revocation is. Raises `NotFound`."""
        return self.store.mass(mass_id)

    def masses(self, limit: int = 100) -> tuple[MassRevocation, ...]:
        """Every mass revocation, the newest first."""
        return self.store.masses(limit)

    def revoke_masses(self, prepare: Tell = nothing) -> Report:
        """Takes over mass revocations that were begun and do not move."""
        return masses.go_on_with_all(self, prepare)

    # --- looking things up --------------------------------------------------------------------

    def certificate(self, serial: int) -> Certificate:
        """The certificate of a serial. Raises `NotFound`."""
        return self.store.by_serial(serial)

    def find(self, query: Query) -> Page:
        """One page of certificates, as of now."""
        return self.store.find(query, self.clock())

    def tags(self, certificates: Iterable[Certificate]) -> Mapping[int, tuple[str, ...]]:
        """The tags of each by its serial; a certificate without any has no line."""
        return self.store.tags(certificates)

    def chain(self, certificate: Certificate) -> bytes:
        """PEM: leaf first, intermediates, no root."""
        return chain.chain_pem(self, certificate)

    def chains(self, certificate: Certificate) -> tuple[bytes, ...]:
        """Every chain in PEM, the one of `chain` first: more than one where a CA is cross-signed."""
        return chain.chains_pem(self, certificate)

    # --- jobs ---------------------------------------------------------------------------------

    def publish_crls(self, fence: int = 0) -> Report:
        """Publishes the CRL shards that are due."""
        return crls.publish_crls(self, fence)

    def adopt_crls(self, bodies: Iterable[bytes], actor: Actor, *, dry_run: bool = False) -> adopt.Adopted:
        """Takes over what CRLs of ours tell and the records have forgotten: see `ca.authority.adopt`."""
        return adopt.adopt(self, bodies, actor, dry_run=dry_run)

    def reshard(self, issuer_id: str, count: int, actor: Actor) -> tuple[int, ...]:
        """Opens new CRL shards to issuance and closes the others: see `ca.authority.shards`."""
        return shards.reshard(self, issuer_id, count, actor)

    def take_over(self, issuer_id: str, actor: Actor) -> tuple[Issuer, ...]:
        """A waiting generation issues from now on, those before it retire: see `ca.authority.rotation`."""
        return rotation.take_over(self, issuer_id, actor)

    def refresh_ocsp(self, limit: int = answers.LIMIT, fence: int = 0) -> Report:
        """Publishes the OCSP answers that are due."""
        return answers.refresh_answers(self, limit, fence)

    def drop_answers(self) -> Report:
        """Deletes OCSP answers that ended long ago."""
        return answers.drop_answers(self)

    def sweep_intents(self) -> Report:
        """Abandons and revokes orphaned intents."""
        return sweep.sweep_intents(self)

    def renew_responders(self) -> Report:
        """Renews delegated OCSP responders at half of their life."""
        return responders.renew_responders(self)

    def own_certificate(self) -> managed.Managed:
        """Where the certificate of the own HTTPS doors is."""
        return managed.own_certificate(self)

    def renew_own_certificate(self) -> Report:
        """Renews the certificate of the own HTTPS doors when it is due."""
        return Report("renew_own_certificate", int(managed.renew_if_due(self, self.own_certificate())))

    def feed_publications(self) -> Report:
        """Brings this node's publication folder up to date with the rows: files lost or published elsewhere."""
        return Report("feed_publications", feed(self.store, self.publisher.folder))

    def feed_targets(self, *, local: bool) -> tuple[TargetState, ...]:
        """Sends to publication targets what they lack: see `ca.authority.targets`."""
        return targets.feed_targets(self, local=local)

    def targets(self) -> tuple[targets.Standing, ...]:
        """Every publication target and how it stands."""
        return targets.standing(self)

    def resend(self, target: str) -> None:
        """Has everything sent to a target again. Raises `NotFound`."""
        targets.resend(self, target)

    def sequence_journal(self, fence: int = 0) -> Report:
        """Chains new journal entries and has the head signed."""
        return trail.sequence_journal(self, fence)

    # --- watching -----------------------------------------------------------------------------

    def watch_clock(self) -> Skew:
        """Holds this node's wall clock against what was believed; raises the alarm: see `ca.authority.wallclock`."""
        return self.wall.watch(self.journal, platform.node())

    def note_backup(self, file: str, at: int, actor: Actor) -> None:
        """Journals a backup, and keeps its time for the doctor."""
        backups.note(self, file, at, actor)

    def recover(self, entries: Callable[[], Iterable[Entry]], actor: Actor) -> recovery.Recovered:
        """Has restored records know what the signer's ledger knows: see `ca.authority.recovery`."""
        return recovery.recover(self, entries(), actor)

    def confirm_restore(self, actor: Actor) -> None:
        """Believes restored records from now on. Raises `Conflict`."""
        recovery.confirm(self, actor)

    def accept_clock(self, actor: Actor) -> Skew:
        """Has signer and authority believe this node's wall clock as it is. Raises `ClockWrong`, the HSM family."""
        found = self.wall.accept(self.journal, platform.node(), actor)
        self.signer.accept_clock()
        return found

    def health(self) -> tuple[Check, ...]:
        """Every health check of the authority; never raises."""
        return health.health(self)

    def verify_records(self) -> Report:
        """Holds keys and certificates against the signer's pins and their issuers: see `ca.authority.integrity`."""
        return integrity.verify_records(self)

    def verify_journal(self) -> JournalReport:
        """Recomputes the journal. Raises `JournalBroken` with the place."""
        return trail.verify_journal(self)

    def prove_event(self, event: int) -> Proof:
        """A proof of one journal entry: see `ca.authority.trail`."""
        return trail.prove_event(self, event)

    def prove_issuance(self, serial: int) -> Proof:
        """A proof of a certificate's issuance: see `ca.authority.trail`."""
        return trail.prove_issuance(self, serial)

    def reconcile(self, entries: Callable[[], Iterable[Entry]]) -> Reconciliation:
        """Compares the signer's ledger with the records: see `ca.authority.reconcile`."""
        return reconciliation.reconcile(self, entries)

    def reconcile_ledger(self) -> Reconciliation:
        """The same, over the ledger as the signer shows it."""
        return watch.reconcile_ledger(self)

    def tell(self, found: Reconciliation) -> Report:
        """Raises the alarm over differences: see `ca.authority.watch`."""
        return watch.tell(self, found)

    def export_journal(self) -> Iterator[Mapping[str, object]]:
        """Every journal event in order."""
        return trail.export_journal(self)

    def record_start(self, process: str) -> None:
        """Journals a start and the digest of the effective configuration."""
        trail.record_start(self, process)


def open_authority(config: Config, clock: Clock = system_clock, places: int = PLACES) -> Authority:
    """The authority over a migrated database; the signer is reached when it is first needed.

    At most `places` threads of this process wait for the signer at a time.
    Raises `StoreUnavailable` (gone or not migrated) and `ConfigError` (profiles that cannot be).
    """
    store: Store = open_store(config)
    config, weaker = policies.in_force(store, config)
    folder = Folder(Path(config.path(config.ca.publication_dir)))
    profiles = compile_all(config)
    wall = WallClock(store, clock)
    return Authority(
        config=config,
        clock=wall if clock is system_clock else clock,
        wall=wall,
        store=store,
        signer=SignerClient(config.path(config.signer.socket), timeout=float(config.signer.timeout), places=places),
        journal=Journal(store, wall),
        publisher=Publisher(store, folder),
        profiles=profiles,
        policy=Policy(config, profiles),
        weaker=weaker,
    )
