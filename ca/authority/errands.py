"""Errands: jobs that a person may have run out of turn. The same deeds that the scheduler does, without its lease."""

from collections.abc import Callable, Mapping

from ca.authority.authority import Authority
from ca.authority.report import Report
from ca.authority.survey import take_survey
from ca.errors import NotFound
from ca.records import Actor, Event

ERRANDS: Mapping[str, Callable[[Authority], Report]] = {
    "publish_crls": lambda authority: authority.publish_crls(),
    "refresh_ocsp": lambda authority: authority.refresh_ocsp(200),
    "sweep_intents": lambda authority: authority.sweep_intents(),
    "renew_responders": lambda authority: authority.renew_responders(),
    "feed_publications": lambda authority: authority.feed_publications(),
    "take_survey": take_survey,
}


def run(authority: Authority, name: str, actor: Actor) -> Report:
    """Runs one now, journalled. Raises `NotFound` for a job that is none of these, and what the job raises."""
    if name not in ERRANDS:
        raise NotFound(f"{name[:40]!r} is no job to run by hand.", next_step=f"Run one of {', '.join(ERRANDS)}.")
    with authority.store.transaction():
        authority.journal.append(Event("job.run-by-hand", actor, f"job:{name}"))
    return ERRANDS[name](authority)
