"""Pages for people to whom a client passed a link on: what it means, and what to do. Nothing of the inside."""

from acme_server import payloads
from acme_server.desk import Answer, Asked, Desk

_RENEWAL = """\
This CA asks you to renew some certificates earlier than usual, or has revoked them.

Your client does so by itself when it supports renewal information (RFC 9773): there is nothing to do.
Where it does not, renew by hand, and look whether the new certificate is in use.
"""
_LIMITS = """\
This CA limits how much one client may ask for (RFC 8555, 6.6):

  orders of one account in an hour      {orders_per_account}
  orders for one name in a day          {orders_per_name}
  new accounts of one address in an hour {accounts_per_address}
  failures in a row before a name is paused for an account {failures}

A refusal says in Retry-After when to come back. A renewal whose order says what it replaces (RFC 9773), for the same
names, counts against none of the first two. A paused name is resumed at the link in the refusal.
Operators may grant more.
"""


def renewal(_desk: Desk, asked: Asked) -> Answer:
    """Why a client was told to renew early (RFC 9773 §4.2)."""
    return _page(asked, _RENEWAL)


def limits(desk: Desk, asked: Asked) -> Answer:
    """What is limited (RFC 8555 §6.6, Link `help`)."""
    shown = {name: most or "no limit" for name, most in desk.config.acme.limits.model_dump().items()}
    return _page(asked, _LIMITS.format(**shown))


def _page(asked: Asked, text: str) -> Answer:
    payloads.demand_empty(asked.payload)
    return Answer(text.encode(), media_type="text/plain; charset=utf-8")
