"""What the use cases answer: frozen values for jobs, screens and health checks."""

from dataclasses import dataclass

from ca.records import Revocation


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a job: how many things were done, how many failed, and one line about it."""

    name: str
    done: int = 0
    failed: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revocation that stands. `published_in` is seconds until OCSP and CRL carried it, None if they wait.

    `started` is when it was asked for, by this process's monotonic clock: what the stopwatch counts from.
    """

    revocation: Revocation
    published_in: float | None
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """One line of health: `detail` says what is wrong and `next_step` what to do, both empty when ok."""

    name: str
    ok: bool
    detail: str = ""
    next_step: str = ""
