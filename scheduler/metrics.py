"""What the scheduler counts; in files that the web process's /metrics reads (PROMETHEUS_MULTIPROC_DIR)."""

from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge, Histogram

from ca.keys.wire import SignerHealth, Times
from ca.store import TargetState

RUNS = Counter("certwright_job_runs_total", "Runs of a scheduled job, by result ok or failed.", ["job", "result"])
DONE = Counter(
    "certwright_job_objects_total", "Objects of scheduled jobs, by result done or failed.", ["job", "result"]
)
SECONDS = Histogram("certwright_job_seconds", "Duration of a scheduled job.", ["job"], buckets=(0.01, 0.1, 1, 10, 60))
DIFFERENCES = Gauge(
    "certwright_ledger_differences",
    "Signatures that the records do not explain, and records without a signature, at the last reconciliation.",
    multiprocess_mode="mostrecent",
)
LEASE = Gauge("certwright_scheduler_leader", "1 on the node that runs the jobs.", multiprocess_mode="mostrecent")

CLOCK_SKEW = Gauge(
    "certwright_clock_skew_seconds",
    "How far this node's wall clock is ahead of what it is held against; below zero: behind.",
    multiprocess_mode="mostrecent",
)

SIGNER_READY = Gauge(
    "certwright_signer_ready", "1 when the signer answers and can sign.", multiprocess_mode="mostrecent"
)
SIGNER_WAITING = Gauge(
    "certwright_signer_waiting",
    "Requests that wait in each lane of the signer.",
    ["lane"],
    multiprocess_mode="mostrecent",
)
SIGNER_LONGEST = Gauge(
    "certwright_signer_longest_call_seconds",
    "For how long the oldest call into the token has been running.",
    multiprocess_mode="mostrecent",
)
SIGNER_WAIT = Gauge(
    "certwright_signer_wait_seconds",
    "Time until a request had its turn at the token, of the newest few hundred.",
    ["lane", "quantile"],
    multiprocess_mode="mostrecent",
)
HSM_SECONDS = Gauge(
    "certwright_hsm_seconds",
    "Time of a signature in the token, verified, of the newest few hundred.",
    ["kind", "quantile"],
    multiprocess_mode="mostrecent",
)


def show_signer(state: SignerHealth) -> None:
    """What the signer says of itself, as gauges."""
    SIGNER_READY.set(state.ok)
    SIGNER_LONGEST.set(state.longest)
    for lane, waiting in state.waiting.items():
        SIGNER_WAITING.labels(lane).set(waiting)
    _show(SIGNER_WAIT, state.waits)
    _show(HSM_SECONDS, state.calls)


def _show(gauge: Gauge, times: Mapping[str, Times]) -> None:
    for name, one in times.items():
        gauge.labels(name, "0.5").set(one.median)
        gauge.labels(name, "0.95").set(one.p95)


SEEN = Histogram(
    "certwright_revocation_seen_seconds",
    "Seconds from a revocation until it was fetched back from every node, by OCSP or CRL.",
    ["by"],
    buckets=(0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
PROBE_USED = Gauge(
    "certwright_probe_used_ratio",
    "Part of the life of a fetched list or answer that is gone.",
    ["what"],
    multiprocess_mode="mostrecent",
)
PROBE_WELL = Gauge(
    "certwright_probe_well",
    "1 when a list or answer could be fetched, verifies and is not late.",
    ["what"],
    multiprocess_mode="mostrecent",
)

TARGET_SEQ = Gauge(
    "certwright_target_seq",
    "Place in the publication sequence that a publication target has reached.",
    ["target"],
    multiprocess_mode="mostrecent",
)
TARGET_BEHIND = Gauge(
    "certwright_target_behind_since_seconds",
    "Since when a publication target has lacked something, in seconds since the epoch; 0 when it lacks nothing.",
    ["target"],
    multiprocess_mode="mostrecent",
)
TARGET_FAILURES = Gauge(
    "certwright_target_failures",
    "How often in a row a publication target has failed.",
    ["target"],
    multiprocess_mode="mostrecent",
)


def show_targets(states: Iterable[TargetState]) -> None:
    """How publication targets stand, as gauges."""
    for one in states:
        TARGET_SEQ.labels(one.name).set(one.seq)
        TARGET_BEHIND.labels(one.name).set(one.behind_since)
        TARGET_FAILURES.labels(one.name).set(one.failures)
