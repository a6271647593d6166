"""The timetable: one line a job. Intervals are keys of the configuration; they say how often a job looks
whether something is due, and what is due is decided by the clock and the records.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ca.authority import Authority, Report
from ca.config import Config
from scheduler import jobs


@dataclass(frozen=True, slots=True)
class Job:
    """`every` is the configuration key of its interval; a job runs under the lease unless each node needs it.

    `timeless` jobs go by no time: they run while the wall clock is wrong, and no other does.
    """

    name: str
    every: str
    run: Callable[[Authority, int], Report]
    everywhere: bool = False
    timeless: bool = False

    def interval(self, config: Config) -> int:
        """Seconds between two looks."""
        section, _, key = self.every.partition(".")
        return int(getattr(getattr(config, section), key))


TIMETABLE: tuple[Job, ...] = (
    Job("watch_clock", "scheduler.sweep", jobs.watch_clock, everywhere=True, timeless=True),
    Job("sequence_journal", "audit.sequence_every", jobs.sequence_journal, timeless=True),
    Job("publish_crls", "scheduler.crl", jobs.publish_crls),
    Job("publish_root_crls", "scheduler.crl", jobs.publish_root_crls),
    Job("refresh_ocsp", "scheduler.ocsp", jobs.refresh_ocsp),
    Job("revoke_masses", "scheduler.masses", jobs.revoke_masses),
    Job("watch_revocations", "scheduler.sweep", jobs.watch_revocations),
    Job("probe_freshness", "scheduler.probe", jobs.probe_freshness),
    Job("sweep_intents", "scheduler.sweep", jobs.sweep_intents),
    Job("sweep_orders", "scheduler.sweep", jobs.sweep_orders),
    Job("renew_stars", "scheduler.sweep", jobs.renew_stars),
    Job("sweep_challenges", "scheduler.sweep", jobs.sweep_challenges),
    Job("renew_responders", "scheduler.renewals", jobs.renew_responders),
    Job("reconcile_ledger", "scheduler.reconcile", jobs.reconcile_ledger),
    Job("renew_own_certificate", "scheduler.renewals", jobs.renew_own_certificate, everywhere=True),
    Job("feed_publications", "scheduler.ocsp", jobs.feed_publications, everywhere=True, timeless=True),
    Job("feed_folders", "scheduler.targets", jobs.feed_folders, everywhere=True, timeless=True),
    Job("feed_targets", "scheduler.targets", jobs.feed_targets, timeless=True),
    Job("collect_notices", "scheduler.notices", jobs.collect_notices),
    Job("send_notices", "scheduler.targets", jobs.send_notices),
    Job("watch_signer", "scheduler.sweep", jobs.watch_signer, everywhere=True, timeless=True),
    Job("drop_answers", "scheduler.reconcile", jobs.drop_answers, everywhere=True),
    Job("take_survey", "scheduler.ocsp", jobs.take_survey),
    Job("expire_acme", "scheduler.expiry", jobs.expire_acme),
    Job("purge_acme", "scheduler.expiry", jobs.purge_acme),
    Job("expire_idempotency", "scheduler.expiry", jobs.expire_idempotency),
)
