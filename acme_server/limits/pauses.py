"""Clients that fail for ever: after so many failures in a row an account may not order that name until it resumes.

Resuming is the client's own affair: each refusal leads to a page with one button. Whoever mends the cause presses it;
nobody has to be asked.
"""

import html
import secrets
from collections.abc import Iterable

from acme_server.desk import Answer, Asked, Desk
from acme_server.errors import Paused
from acme_server.limits.tables import Pause, Pauses
from acme_server.records import Account, Authorization
from ca.errors import NotFound
from ca.records import Actor, Event, Name

LOOK_AGAIN = 86400
"""Seconds after which a client that cannot read may try again; it will hear the same."""


def note_failure(desk: Desk, authorization: Authorization) -> None:
    """Pauses an account for a name inside the open transaction, once it failed so often in a row as is allowed."""
    most = desk.config.acme.limits.failures
    if not most:
        return
    pauses = Pauses(desk.store)
    failures = pauses.failures(authorization)
    if failures < most:
        return
    pauses.add(
        Pause(
            account=authorization.account,
            kind=authorization.kind,
            value=authorization.value,
            token=secrets.token_urlsafe(24),
            failures=failures,
            paused_at=desk.now(),
        )
    )
    desk.journal(_event("account.paused", authorization.account, [authorization.name]))


def demand_none(desk: Desk, account: Account, names: Iterable[Name]) -> None:
    """Raises `Paused` if one of these names is paused for the account. Costs nothing where nothing is."""
    if not account.paused:
        return
    wanted = set(names)
    found = [one for one in Pauses(desk.store).of(account.id) if one.name in wanted]
    if found:
        url = desk.urls.resource(f"resume/{found[0].token}")
        raise Paused(
            f"{found[0].value} failed {found[0].failures} times in a row for this account, and is paused.",
            retry_after=LOOK_AGAIN,
            help_url=url,
            next_step=f"Mend the cause (see the errors of the challenges), then resume it at {url}",
        )


def page(desk: Desk, asked: Asked, token: str) -> Answer:
    """The page behind the link: what is paused, and a button (GET), or the end of the pause (POST).

    Raises `NotFound` for a link that is over.
    """
    found = Pauses(desk.store).by_token(token)
    if not found:
        raise NotFound("Nothing is paused behind this link.", next_step="Place the order again.")
    if asked.method == "POST":
        resume(desk, found[0].account, Actor("account", found[0].account, "resume-link"), asked.request_id)
        return _html("<p>Resumed. Run your ACME client again.</p>")
    rows = "".join(f"<li>{html.escape(one.value)}: {one.failures} failures in a row</li>" for one in found)
    return _html(
        f"<p>This account may not order these names, because they failed again and again:</p><ul>{rows}</ul>"
        '<p>Mend the cause first.</p><form method="post"><button>Resume</button></form>'
    )


def resume(desk: Desk, account_id: str, actor: Actor, request_id: str = "") -> int:
    """Ends every pause of an account; answers how many names that were."""
    pauses = Pauses(desk.store)
    with desk.store.transaction():
        names = [one.name for one in pauses.of(account_id)]
        if pauses.resume(account_id, desk.now()):
            desk.journal(_event("account.resumed", account_id, names, actor, request_id))
    return len(names)


def _event(action: str, account: str, names: Iterable[Name], actor: Actor | None = None, request_id: str = "") -> Event:
    return Event(
        action,
        actor or Actor("account", account, "acme"),
        f"account:{account}",
        request_id=request_id,
        personal={"names": " ".join(map(str, names))},
    )


def _html(body: str) -> Answer:
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Certwright: paused orders</title>'
    return Answer(f"{head}<h1>Paused orders</h1>{body}".encode(), media_type="text/html; charset=utf-8")
