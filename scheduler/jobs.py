"""The jobs: one to three lines each. What a job does lives at the desk; when it runs stands in the timetable.

Each takes the authority and the fencing token of the lease (0 for jobs that every node runs for itself).
"""

from functools import partial

import acme_server
from acme_server import validation
from ca import publish
from ca.authority import Authority, Report, notices, survey
from ca.ceremony.spares import publish_due_spares
from ca.errors import HSMError
from ca.store import TargetState
from scheduler import metrics

REPLAYS_KEPT = 7 * 86400
"""Seconds that the outcome of a request with an Idempotency-Key is kept."""


def watch_clock(authority: Authority, _fence: int) -> Report:
    """Holds this node's wall clock against what was believed; the alarm is raised there."""
    skew = authority.watch_clock()
    metrics.CLOCK_SKEW.set(skew.seconds)
    return Report("watch_clock", failed=int(not skew.sound), detail="" if skew.sound else f"{skew.seconds} s")


def publish_crls(authority: Authority, fence: int) -> Report:
    """Signs and publishes the CRL shards that are dirty or past half of their life."""
    return authority.publish_crls(fence)


def publish_root_crls(authority: Authority, _fence: int) -> Report:
    """Publishes the root's next CRL, signed at its ceremony, when its time has come."""
    done = publish_due_spares(authority.store, authority.journal, authority.publisher, authority.clock)
    return Report("publish_root_crls", done)


def revoke_masses(authority: Authority, _fence: int) -> Report:
    """Carries on mass revocations that were begun and do not move; ACME clients are called to renew first."""
    return authority.revoke_masses(partial(acme_server.call_ahead, authority))


def watch_revocations(authority: Authority, _fence: int) -> Report:
    """Fetches revocations back from outside that nobody has seen yet, and takes their times."""
    seen = authority.watch_revocations()
    for one in seen:
        metrics.SEEN.labels("ocsp").observe(one.ocsp_ms / 1000)
        metrics.SEEN.labels("crl").observe(one.crl_ms / 1000)
    return Report("watch_revocations", len(seen))


def probe_freshness(authority: Authority, _fence: int) -> Report:
    """Fetches what relying parties fetch; what is late or cannot be had counts as failed."""
    found = authority.probe()
    for one in found:
        metrics.PROBE_USED.labels(one.what).set(one.used)
        metrics.PROBE_WELL.labels(one.what).set(not one.trouble)
    late = [one for one in found if one.trouble]
    detail = "; ".join(f"{one.what}: {one.trouble}" for one in late[:3])
    return Report("probe_freshness", len(found) - len(late), len(late), detail)


def refresh_ocsp(authority: Authority, fence: int) -> Report:
    """Signs and publishes the OCSP answers that are due."""
    return authority.refresh_ocsp(fence=fence)


def drop_answers(authority: Authority, _fence: int) -> Report:
    """Deletes OCSP answers that ended long ago."""
    return authority.drop_answers()


def sequence_journal(authority: Authority, fence: int) -> Report:
    """Chains new journal entries and has the head signed."""
    return authority.sequence_journal(fence)


def reconcile_ledger(authority: Authority, _fence: int) -> Report:
    """Holds what the keys have signed against the records, and raises the alarm."""
    found = authority.reconcile_ledger()
    metrics.DIFFERENCES.set(len(found.differences))
    return authority.tell(found)


def sweep_intents(authority: Authority, _fence: int) -> Report:
    """Abandons orphaned intents and revokes their serials."""
    return authority.sweep_intents()


def renew_responders(authority: Authority, _fence: int) -> Report:
    """Renews delegated OCSP responders at half of their life."""
    return authority.renew_responders()


def renew_own_certificate(authority: Authority, _fence: int) -> Report:
    """Renews this node's own server certificate; the web process picks it up."""
    return authority.renew_own_certificate()


def expire_acme(authority: Authority, _fence: int) -> Report:
    """Moves ACME orders and authorizations that are past their time to invalid or expired."""
    return acme_server.expire(authority)


def purge_acme(authority: Authority, _fence: int) -> Report:
    """Deletes what ACME has been finished with for long: never a certificate, never a revocation."""
    return acme_server.purge(authority)


def sweep_orders(authority: Authority, _fence: int) -> Report:
    """Brings ACME orders to an end whose issuance broke off or waits for the HSM."""
    return acme_server.sweep_orders(authority)


def renew_stars(authority: Authority, _fence: int) -> Report:
    """Makes the next certificates of ACME orders that renew themselves."""
    return acme_server.renew_stars(authority)


def take_survey(authority: Authority, _fence: int) -> Report:
    """Counts certificates for the first page of a large CA."""
    return survey.take_survey(authority)


def sweep_challenges(authority: Authority, _fence: int) -> Report:
    """Sends challenges again whose answer did not come in time."""
    return validation.sweep(authority)


def collect_notices(authority: Authority, _fence: int) -> Report:
    """Writes down what people have to be told."""
    return notices.collect(authority)


def send_notices(authority: Authority, _fence: int) -> Report:
    """Tells them."""
    return notices.send(authority)


def feed_publications(authority: Authority, _fence: int) -> Report:
    """Brings this node's publication folder up to date with the rows."""
    return Report("feed_publications", publish.feed(authority.store, authority.publisher.folder))


def feed_folders(authority: Authority, _fence: int) -> Report:
    """Sends to the folder targets of this node what they lack."""
    return _targets("feed_folders", authority.feed_targets(local=True))


def feed_targets(authority: Authority, _fence: int) -> Report:
    """Sends to the other targets what they lack."""
    return _targets("feed_targets", authority.feed_targets(local=False))


def _targets(job: str, states: tuple[TargetState, ...]) -> Report:
    """Trouble is no failure of the job: it is kept with each target, and tried again at its own time."""
    metrics.show_targets(states)
    return Report(job, detail="; ".join(f"{one.name}: {one.trouble}" for one in states if one.trouble))


def watch_signer(authority: Authority, _fence: int) -> Report:
    """Asks the signer how it is, for the metrics of this node. Raises `HSMUnavailable` when it does not answer."""
    try:
        metrics.show_signer(authority.signer.health())
    except HSMError:
        metrics.SIGNER_READY.set(0)
        raise
    return Report("watch_signer")


def expire_idempotency(authority: Authority, _fence: int) -> Report:
    """Forgets old outcomes of requests that came with an Idempotency-Key."""
    return Report("expire_idempotency", authority.store.expire_idempotency(authority.clock() - REPLAYS_KEPT))
