"""What the doctor looks at: one table, each check a few lines.

A check answers a line when all is well, raises `Warn` for what should be seen to, and any `CAError` for what is
broken. Freshness is measured on the published bytes, as relying parties get them (INC-03).
"""

import os
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from cryptography import x509

from ca import config as configuration
from ca import crl
from ca.authority import Authority, backups, lights, open_authority, rotation
from ca.authority.lights import Warn
from ca.authority.targets import MOMENT
from ca.clock import Clock, rfc3339, system_clock
from ca.config import Config
from ca.errors import CAError, ConfigError, HSMUnavailable, NotFound
from ca.folder import Folder
from ca.keys.client import SignerClient, SignerHealth
from ca.records import Issuer, KeyPurpose, Publication
from cli import guards
from cli.probe import certificate_door, http_door, https_door

LITTLE_SPACE, NO_SPACE = 1 << 30, 100 << 20
SKEW_WARN = 5
DAY = 86400
ROOT_CRL_ALARM = 60 * DAY
LATE_RUNS = 3
SEEN_LATE = 60
_POSTGRESQL = "See docs/postgresql.md."


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: level is ok, warn, fail, or skip for what another line has said."""

    name: str
    level: str
    detail: str
    next_step: str = ""


@dataclass
class Patient:
    """What the checks share; each part is opened when a check first needs it, and raises what stands in its way."""

    path: Path
    clock: Clock = system_clock

    @cached_property
    def config(self) -> Config:
        """The configuration. Raises ConfigError."""
        return configuration.load(self.path)

    @cached_property
    def authority(self) -> Authority:
        """The desk. Raises StoreUnavailable."""
        return open_authority(self.config, self.clock)

    @cached_property
    def signer(self) -> SignerHealth:
        """What the signer says of itself. Raises HSMUnavailable."""
        return SignerClient(self.config.path(self.config.signer.socket)).health()

    def published(self, path: str) -> Publication:
        """What the status plane serves at a path. Raises NotFound."""
        found = Folder(self.config.path(self.config.ca.publication_dir)).get(path)
        if found is None:
            raise NotFound(f"Nothing is published at {path}.", next_step="Start the scheduler, and see its log.")
        return found


def examine(path: Path) -> tuple[Finding, ...]:
    """Runs every check; never raises. Without a configuration only that is said."""
    patient = Patient(path)
    found = [_run("configuration", _configuration, patient)]
    if found[0].level == "fail":
        return tuple(found)
    for name, check in {**CHECKS, **_places(patient)}.items():
        finding = _run(name, check, patient)
        said = next(
            (one.name for one in found if finding.level == one.level == "fail" and one.detail == finding.detail), ""
        )
        found.append(replace(finding, level="skip", detail=f"see {said}", next_step="") if said else finding)
    return tuple(found)


def _run(name: str, check: Callable[[Patient], str], patient: Patient) -> Finding:
    try:
        return Finding(name, "ok", check(patient))
    except Warn as warning:
        return Finding(name, "warn", warning.detail, warning.next_step)
    except CAError as error:
        return Finding(name, "fail", error.detail, error.next_step)
    except OSError as error:
        return Finding(name, "fail", f"{error.filename}: {error.strerror}.", "Check that path, its owner and mode.")


# --- the installation ---------------------------------------------------------------------------


def _configuration(patient: Patient) -> str:
    from ca.profiles import compile_all

    compile_all(patient.config)
    return f"{patient.path} ({patient.config.mode} mode)"


def _module(patient: Patient) -> str:
    module = patient.config.hsm.module or os.environ.get("CERTWRIGHT_PKCS11_MODULE", "")
    if not module:
        raise ConfigError("No PKCS#11 module is named.", next_step="Set hsm.module, or CERTWRIGHT_PKCS11_MODULE.")
    if not Path(module).is_file():
        raise HSMUnavailable(f"There is no PKCS#11 module at {module}.", next_step="Install it, or correct hsm.module.")
    return module


def _pin(patient: Patient) -> str:
    kind, _, value = patient.config.hsm.pin_source.partition(":")
    if kind != "file":
        return f"by {kind}"
    path = patient.config.path(value)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"Others can read the PIN in {path}.", next_step=f"Run: chmod 600 {path}")
    return str(path)


def _disk(patient: Patient) -> str:
    """The emptiest of the places that are written to."""
    config = patient.config
    places = {config.path(config.ca.publication_dir), config.path(config.signer.state_dir)}
    free = min(shutil.disk_usage(_existing(place)).free for place in places)
    words = f"{free >> 20} MiB free"
    if free < NO_SPACE:
        raise CAError(f"{words}: writes will fail soon.", next_step="Free some space.")
    if free < LITTLE_SPACE:
        raise Warn(f"{words}.", next_step="Free some space.")
    return words


def _existing(place: Path) -> Path:
    return place if place.exists() else _existing(place.parent)


def _database(patient: Patient) -> str:
    """Reachable, up to date, and it can be written: a write transaction opens."""
    with patient.authority.store.transaction():
        issuers = len(patient.authority.store.issuers())
    if not issuers:
        raise NotFound("The database holds no issuer.", next_step="Run 'certwright ca init'.")
    return f"{issuers} issuers"


def _durability(patient: Patient) -> str:
    """What was committed stays, and the journal's rows too: the settings of the server and the rights of the role."""
    weak = patient.authority.store.weaknesses()
    lossy = [one for one in weak if one.endswith("off")]
    if lossy:
        raise CAError(f"The database may lose what it has confirmed: {', '.join(lossy)}.", next_step=_POSTGRESQL)
    if weak:
        raise Warn(f"The database is open too far: {', '.join(weak)}.", next_step=_POSTGRESQL)
    return "what is committed stays"


def _clock(patient: Patient) -> str:
    """This machine's clock against the machine's start, what was believed before, and the database's clock."""
    found = patient.authority.wall.skew()
    found.demand()
    if abs(found.seconds) > SKEW_WARN:
        raise Warn(
            f"The wall clock is {found.seconds} s off {found.against}.", next_step="Set the clocks (chrony, ntpd)."
        )
    return rfc3339(patient.clock())


# --- keys ---------------------------------------------------------------------------------------


def _signer(patient: Patient) -> str:
    state = patient.signer
    if not state.ok:
        raise HSMUnavailable(state.detail, next_step="See docs/operations.md, 'The signer cannot sign'.")
    return f"{state.keys} keys"


def _token(patient: Patient) -> str:
    """A software token is always called one; in production it must have been accepted in so many words."""
    state = patient.signer
    if not state.software:
        return state.token
    words = f"SOFTWARE TOKEN, no hardware protects the keys: {state.token}"
    if patient.config.mode == "demo":
        return words
    if not patient.config.hsm.accept_software_token:
        raise ConfigError(words, next_step="Move to an HSM, or say hsm.accept_software_token = true.")
    raise Warn(words, next_step="Move to an HSM before anything depends on this CA.")


def _retired(patient: Patient) -> str:
    """A rotation that a crash cut off is ended by the command that began it: until then the old key is in use."""
    late = rotation.unsettled(patient.authority)
    if late:
        names = ", ".join(key.id for key in late)
        own = [key.id for key in late if key.purpose is KeyPurpose.JOURNAL]
        command = f"key rotate {own[0]}" if len(own) == len(late) else "ca rotate"
        raise Warn(
            f"The signer still uses what the records say is out of use: {names}.",
            next_step=f"Run 'certwright {command}', which ends the rotation that was cut off.",
        )
    return "none is still used"


def _issuers(patient: Patient) -> str:
    """The life of each active CA certificate."""
    active = [one for one in patient.authority.store.issuers() if one.state == "active"]
    for one in active:
        _check_life(one.id, one.certificate, patient.clock(), "Plan the next generation.")
    return ", ".join(one.id for one in active)


def _own_certificate(patient: Patient) -> str:
    chain = patient.authority.own_certificate().chain
    if not chain.exists():
        raise NotFound("The HTTPS doors have no certificate yet.", next_step="Start 'certwright serve'.")
    pem = x509.load_pem_x509_certificate(chain.read_bytes())
    return _life("the own certificate", pem, patient.clock(), "Start the scheduler: it renews it.")


def _responders(patient: Patient) -> str:
    shown = []
    for issuer in _issuing(patient):
        responder = patient.authority.store.responder(issuer.id)
        _check_life(responder.key_id, responder.certificate, patient.clock(), "Start the scheduler: it renews them.")
        shown.append(responder.key_id)
    return ", ".join(shown)


def _issuing(patient: Patient) -> list[Issuer]:
    return patient.authority.serving()


def _check_life(name: str, der: bytes, now: int, step: str) -> str:
    return _life(name, x509.load_der_x509_certificate(der), now, step)


def _life(name: str, certificate: x509.Certificate, now: int, step: str) -> str:
    """Fails when it is over, warns in its last tenth."""
    start, end = (int(t.timestamp()) for t in (certificate.not_valid_before_utc, certificate.not_valid_after_utc))
    if now > end:
        raise CAError(f"{name} expired at {rfc3339(end)}.", next_step=step)
    if now > end - (end - start) // 10:
        raise Warn(f"{name} expires at {rfc3339(end)}.", next_step=step)
    return f"until {rfc3339(end)}"


# --- what is published --------------------------------------------------------------------------


def _crls(patient: Patient) -> str:
    """Every list of every issuer that serves: late past three quarters of its life, dead past its end."""
    paths = [path for one in _issuing(patient) for path in _lists(patient, one.id)]
    for path in paths:
        one = patient.published(path)
        late = one.this_update + (one.fresh_until - one.this_update) * 3 // 4
        _check_fresh(
            path, late, one.fresh_until, patient.clock(), "Start the scheduler, or run 'certwright crl publish'."
        )
    return f"{len(paths)} lists"


def _lists(patient: Patient, issuer: str) -> list[str]:
    """The shards that are not at their end, and the list over all of them."""
    shards = [state.shard for state in patient.authority.store.shards(issuer) if not state.ended_at]
    wanted = [crl.FULL, *shards] if patient.config.ca.full_crl_every else shards
    return [crl.list_path(issuer, shard) for shard in wanted]


def _root_crls(patient: Patient) -> str:
    """Signed at a ceremony only, so the alarm comes early (B-03); a demo is not renewed."""
    roots = [one.id for one in patient.authority.store.issuers() if one.kind == "root" and one.state == "active"]
    for issuer in roots:
        one = patient.published(f"crl/{issuer}/0000.crl")
        alarm = DAY if patient.config.mode == "demo" else ROOT_CRL_ALARM
        _check_fresh(
            issuer, one.fresh_until - alarm, one.fresh_until, patient.clock(), "Hold 'certwright ca ceremony'."
        )
    return ", ".join(roots)


def _check_fresh(name: str, late: int, dead: int, now: int, step: str) -> None:
    if now >= dead:
        raise CAError(f"{name} expired at {rfc3339(dead)}.", next_step=step)
    if now >= late:
        raise Warn(f"{name} expires at {rfc3339(dead)}.", next_step=step)


def _ocsp(patient: Patient) -> str:
    due = len(patient.authority.store.ocsp_due(patient.clock() - 2 * patient.config.scheduler.ocsp, 1000))
    if due:
        raise Warn(f"{due} OCSP answers wait for too long.", next_step="Start the scheduler, and see its log.")
    return "no answer is late"


def _revocations(patient: Patient) -> str:
    """Each of the last day was seen from outside: B-02, by the stopwatch."""
    now = patient.clock()
    slow = patient.authority.store.slow_revocations(now - SEEN_LATE, now - DAY)
    if slow:
        raise Warn(
            f"{slow} revocations of the last day were not seen from outside yet.",
            next_step="Run 'certwright status probe', and see the scheduler's log.",
        )
    return "each was seen from outside"


def _targets(patient: Patient) -> str:
    """Each has what is published, or has lacked something for a moment only."""
    found = patient.authority.targets()
    for one in found:
        late = one.state.late(patient.clock())
        if late > MOMENT:
            why = f": {one.state.trouble}" if one.state.trouble else ""
            raise Warn(
                f"{one.state.name} has been behind for {late} s{why}", next_step="See 'certwright status targets'."
            )
    return f"{len(found)} targets"


def _http(patient: Patient) -> str:
    return _door(http_door(patient.config).missing)


def _https(patient: Patient) -> str:
    return _door(https_door(patient.config).missing)


def _client_certificates(patient: Patient) -> str:
    """The door where browsers show them, as it is in force: the roots that it believes can be read, and it answers."""
    from web.certificate_door import demand_roots

    config = patient.authority.config
    if not config.ui.client_certificates.listen:
        return "none sign anybody in"
    demand_roots(config)
    return _door(certificate_door(config).missing)


def _door(missing: str) -> str:
    if missing:
        raise CAError(missing, next_step="Start 'certwright serve', or see its log.")
    return "ready"


# --- the records --------------------------------------------------------------------------------


def _records(patient: Patient) -> str:
    """Every key and certificate is the one that was made."""
    return f"{patient.authority.verify_records().done} records as they were made"


def _journal(patient: Patient) -> str:
    patient.authority.verify_journal()
    return "whole"


def _ledger(patient: Patient) -> str:
    """What the scheduler's last reconciliation found."""
    try:
        last = patient.authority.store.last_run("reconcile_ledger")
    except NotFound:
        raise Warn("Nothing was reconciled yet.", next_step="Start the scheduler.") from None
    if not last.ok:
        raise CAError(last.detail, next_step="Run 'certwright audit reconcile'.")
    return f"as the records say, at {rfc3339(last.ended)}"


def _jobs(patient: Patient) -> str:
    """Each job's last success against its interval."""
    from scheduler.timetable import TIMETABLE

    late = []
    for job in TIMETABLE:
        limit = LATE_RUNS * max(job.interval(patient.config), 60) + 60
        if _last_success(patient, job.name) + limit < patient.clock():
            late.append(job.name)
    if late:
        raise Warn(f"No success lately: {', '.join(late)}.", next_step="Start the scheduler, and see its log.")
    return f"{len(TIMETABLE)} jobs"


def _last_success(patient: Patient, name: str) -> int:
    try:
        return patient.authority.store.last_run(name).succeeded_at
    except NotFound:
        return 0


def _orphans(patient: Patient) -> str:
    """Orphans are revoked by themselves; open intents that nobody sweeps are not."""
    before = patient.clock() - patient.config.ca.intent_timeout - 4 * patient.config.scheduler.sweep
    unswept = len(patient.authority.store.open_intents(before))
    if unswept:
        raise Warn(f"{unswept} serials may have been signed and are not swept.", next_step="Start the scheduler.")
    return f"{len(patient.authority.store.orphans())} revoked orphans"


def _policy(patient: Patient) -> str:
    return lights.policy(patient.authority)


def _backup(patient: Patient) -> str:
    """When the records were last backed up."""
    at = backups.last(patient.authority)
    if not at and patient.config.mode == "demo":
        return "none, and a demo needs none"
    if not at:
        raise Warn("There is no backup of the records.", next_step="Run 'certwright backup', each day.")
    if at + patient.config.backup.max_age < patient.clock():
        raise Warn(f"The last backup is of {rfc3339(at)}.", next_step="Run 'certwright backup', each day.")
    return rfc3339(at)


def _places(patient: Patient) -> dict[str, Callable[[Patient], str]]:
    """A line for each place; one line in their stead when they cannot even be told apart."""
    try:
        return {name: _guard(check) for name, check in guards.place_checks(patient.config).items()}
    except ConfigError as error:
        return {"places": partial(_raised, error)}


def _raised(error: ConfigError, _patient: Patient) -> str:
    raise error


def _guard(check: Callable[[Config], str]) -> Callable[[Patient], str]:
    return lambda patient: check(patient.config)


CHECKS: Mapping[str, Callable[[Patient], str]] = {
    **{name: _guard(check) for name, check in guards.CHECKS.items()},
    "module": _module,
    "pin": _pin,
    "disk": _disk,
    "database": _database,
    "durability": _durability,
    "clock": _clock,
    "signer": _signer,
    "token": _token,
    "retired keys": _retired,
    "issuers": _issuers,
    "responders": _responders,
    "own certificate": _own_certificate,
    "root CRL": _root_crls,
    "CRLs": _crls,
    "OCSP": _ocsp,
    "revocations": _revocations,
    "targets": _targets,
    "status plane": _http,
    "web": _https,
    "client certificates": _client_certificates,
    "records": _records,
    "journal": _journal,
    "ledger": _ledger,
    "jobs": _jobs,
    "orphans": _orphans,
    "policy": _policy,
    "backup": _backup,
}
