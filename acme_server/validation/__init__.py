"""Proving control over names: what to ask (`http01`), who asks (`fetcher`, a process), and the work around it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ca.authority import Authority, Report


def sweep(authority: "Authority") -> "Report":
    """Tries challenges again whose result is overdue: a worker died or the fetcher was away. Safe on every node."""
    from acme_server.desk import Desk
    from acme_server.validation import work
    from ca.authority import Report

    return Report("sweep_challenges", work.sweep(Desk(authority)))
