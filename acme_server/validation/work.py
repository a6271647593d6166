"""Trying challenges off the requests' threads; whatever dies meanwhile, each comes to an end (RFC 8555 §8.2).

The row is the truth: `processing`, with the number of the try and the time `due_at` by which its result has to
be there. A result is written by a conditional UPDATE on that number, so a late one, or one of two, changes
nothing. A worker that is killed leaves a row that is overdue, and the sweep sends it again.

A try that fails is repeated, `acme.validation.attempts` in all; a fetcher that cannot be reached is this side's
fault and counts as no try.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from acme_server import order_log, problems
from acme_server.desk import Desk
from acme_server.limits import pauses
from acme_server.records import AccountStatus, Authorization, AuthorizationStatus, Challenge, ChallengeStatus
from acme_server.validation import attempts, caa
from acme_server.validation.causes import Cause
from acme_server.validation.kinds import KINDS, offered
from acme_server.validation.proof import Kind, Proof, Verdict, is_dns, judge
from acme_server.validation.wire import Answer, FetcherUnavailable, Question, ask
from ca.records import Event

Again = Callable[[Challenge, float], object]
"""Has a challenge tried again after some seconds, if it can; whoever cannot leaves it to the sweep."""

GRACE = 10
"""Seconds beyond its deadline after which a try counts as lost."""

FINISH = 600
"""Seconds that a new valid authorization lasts at least: time to finalize."""

_LIMIT = 32
_THREADS = 16
_QUICK = 4


def start(desk: Desk, challenge: Challenge) -> Challenge:
    """Begins a pending challenge and answers it as it is then; one that has begun is left alone."""
    now = desk.now()
    due_at = _due(desk, now)
    if not desk.proofs.begin(challenge, due_at, now):
        return desk.proofs.challenge(challenge.id)
    begun = replace(challenge, status=ChallengeStatus.PROCESSING, attempts=1, due_at=due_at)
    desk.crew.offer(lambda: attempt(desk, begun, later(desk)))  # no place: it becomes overdue
    return begun


def sweep(desk: Desk) -> int:
    """Tries challenges whose result is overdue, and waits for their end; answers how many."""
    overdue = [taken for one in desk.proofs.due(desk.now(), _LIMIT) if (taken := _take(desk, one))]
    with ThreadPoolExecutor(_THREADS) as pool:
        return len(list(pool.map(lambda one: attempt(desk, one, _leave), overdue)))


def later(desk: Desk) -> Again:
    """Repeats in this process."""

    def again(challenge: Challenge, seconds: float) -> None:
        def retry() -> None:
            if taken := _take(desk, challenge):
                attempt(desk, taken, again)

        desk.crew.offer(retry, seconds)

    return again


def _leave(_challenge: Challenge, _seconds: float) -> None:
    """Leaves the next try to the next sweep."""


def _take(desk: Desk, challenge: Challenge) -> Challenge | None:
    """The challenge with its next try in our hands, None if somebody else has it or it has ended."""
    due_at = _due(desk, desk.now())
    if not desk.proofs.again(challenge, due_at):
        return None
    return replace(challenge, attempts=challenge.attempts + 1, due_at=due_at)


def _due(desk: Desk, now: int) -> int:
    return now + desk.config.acme.validation.timeout + GRACE


# --- one try ------------------------------------------------------------------------------------


def attempt(desk: Desk, challenge: Challenge, again: Again) -> None:
    """One try, from the question to the row; nothing, if it is no longer the try that counts.

    Raises `StoreUnavailable`: then the challenge becomes overdue.
    """
    if desk.proofs.challenge(challenge.id).attempts != challenge.attempts:
        return
    authorization = desk.proofs.get(challenge.authorization_id).at(desk.now())
    try:
        verdict = _verdict(desk, challenge, authorization)
    except FetcherUnavailable as away:
        structlog.get_logger().warning("challenge.waits", challenge=challenge.id, reason=str(away))
        if challenge.attempts <= _QUICK:
            again(challenge, 2.0**challenge.attempts)
        return
    _settle(desk, challenge, authorization, verdict, again)


def _verdict(desk: Desk, challenge: Challenge, authorization: Authorization) -> Verdict:
    account = desk.accounts.get(challenge.account)
    if authorization.status is not AuthorizationStatus.PENDING or account.status is not AccountStatus.VALID:
        return Verdict(Cause.ENDED)
    if challenge.type not in offered(desk.config, authorization.name):
        return Verdict(Cause.NOT_OFFERED, {"type": challenge.type, "subject": authorization.value})
    url = desk.urls.account(account.id)
    proof = Proof(authorization.name, challenge.token, account.thumbprint, url, desk.urls.issuers, desk.now())
    kind = KINDS[challenge.type]
    verdict = _judged(kind, _ask(desk, kind.question, proof), proof)
    if verdict.cause is Cause.MET and desk.config.acme.caa == "on" and is_dns(proof.name):
        return verdict.then(caa.judge(_ask(desk, caa.question, proof), proof, kind.type))
    return verdict


def _judged(kind: Kind, answer: Answer, proof: Proof) -> Verdict:
    """A verdict in any case: whatever a stranger's server sent ends its own challenge, and nobody else's sweep."""
    try:
        return judge(kind, answer, proof)
    except Exception:  # noqa: BLE001 - the edge of a job
        structlog.get_logger().exception("challenge.unforeseen", name=str(proof.name))
        return Verdict.on(answer, Cause.UNFORESEEN, subject=proof.host.value)


def _ask(desk: Desk, question: Callable[[Proof, float], Question], proof: Proof) -> Answer:
    validation = desk.config.acme.validation
    return ask(desk.config.path(validation.socket), question(proof, float(validation.timeout)))


def _settle(desk: Desk, challenge: Challenge, authorization: Authorization, verdict: Verdict, again: Again) -> None:
    if verdict.cause is Cause.MET:
        _pass(desk, challenge, authorization, verdict)
    elif verdict.again and challenge.failures + 1 < desk.config.acme.validation.attempts:
        _note(desk, challenge, authorization, verdict, again)
    else:
        _fail(desk, challenge, authorization, verdict)


def _pass(desk: Desk, challenge: Challenge, authorization: Authorization, verdict: Verdict) -> None:
    """Challenge, authorization and the orders that waited for nothing else: in one transaction."""
    now = desk.now()
    expires = now + max(_life(desk), FINISH)
    if verdict.until:
        expires = min(expires, verdict.until)
    with desk.store.transaction():
        desk.orders.hold(authorization.id)
        if not desk.proofs.pass_challenge(challenge, now):
            return
        attempts.write(desk, challenge, authorization, verdict)
        if desk.proofs.make_valid(authorization.id, expires):
            desk.orders.make_ready(authorization.id, expires)
            desk.journal(_event("authorization.valid", challenge, authorization, verdict))


def _life(desk: Desk) -> int:
    """Seconds that what was proved may be used again."""
    life = desk.config.acme.authorization_life
    return min(life, caa.LIFE) if desk.config.acme.caa == "on" else life


def _note(desk: Desk, challenge: Challenge, authorization: Authorization, verdict: Verdict, again: Again) -> None:
    """The client sees the error and that it is being tried again."""
    pause = 2.0**challenge.failures
    due_at = desk.now() + int(pause) + GRACE
    with desk.store.transaction():
        url = attempts.write(desk, challenge, authorization, verdict)
        noted = desk.proofs.note(challenge, problems.text(_problem(authorization, verdict, url)), due_at)
    if noted:
        again(replace(challenge, failures=challenge.failures + 1, due_at=due_at), pause)


def _fail(desk: Desk, challenge: Challenge, authorization: Authorization, verdict: Verdict) -> None:
    """One failed challenge ends its authorization, and that each order that needs it."""
    with desk.store.transaction():
        waiting = desk.orders.needing(authorization.id)
        error = _problem(authorization, verdict, attempts.write(desk, challenge, authorization, verdict))
        if not desk.proofs.fail_challenge(challenge, problems.text(error)):
            return
        if desk.proofs.make_invalid(authorization.id):
            pauses.note_failure(desk, authorization)
            for order in waiting:
                order_log.fail(desk, order, error, order_log.actor(order.account))
        desk.journal(_event("challenge.failed", challenge, authorization, verdict))


def _problem(authorization: Authorization, verdict: Verdict, url: str) -> problems.Problem:
    """What the client is told, with the URL that tells more."""
    made = problems.about(authorization.name, verdict.error, f"{verdict.detail} More, for a day: {url}")
    return {**made, "instance": url}


def _event(action: str, challenge: Challenge, authorization: Authorization, verdict: Verdict) -> Event:
    return Event(
        action,
        order_log.actor(challenge.account),
        f"authorization:{authorization.id}",
        result="failed" if verdict.error else "ok",
        reason=verdict.error,
        detail={"challenge": challenge.id, "type": challenge.type, "tries": challenge.failures + 1},
        personal={
            "name": str(authorization.name),
            "trail": "\n".join(map(str, verdict.trail)),
            **({"error": verdict.detail} if verdict.error else {}),
        },
    )
