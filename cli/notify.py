"""`certwright notify`: the channels by which people are told, and what they were told."""

from typing import TYPE_CHECKING

import click

from cli.output import answer, table
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from ca.notices import Channel
    from ca.records import Notice

NEWEST = 50


@command()
def list_(session: Session) -> int:
    """Lists the channels of the configuration, and the newest notices with what was in the way.

    Exit code 1 when one of them was given up.
    """
    from ca.authority import notices

    with session.authority() as authority:
        channels, found = notices.channels(authority), authority.store.notices(NEWEST)
    rows = [_notice(one) for one in found]
    told = {"channels": [_channel(one) for one in channels], "notices": rows}
    answer(session, told, lambda: "\n\n".join((_channels(channels), _notices(rows))))
    return 1 if any(one.state == "failed" for one in found) else 0


def _channel(one: "Channel") -> dict[str, object]:
    return {"channel": one.name, "kind": one.kind, "tells": sorted(one.tells), "owners": sorted(one.owners)}


def _notice(one: "Notice") -> dict[str, object]:
    from ca.clock import rfc3339

    return {
        "id": one.id,
        "state": one.state,
        "channel": one.channel,
        "kind": one.kind,
        "owner": one.owner,
        "title": one.title,
        "created_at": rfc3339(one.created_at),
        "sent_at": rfc3339(one.sent_at) if one.sent_at else None,
        "failures": one.failures,
        "trouble": one.trouble or None,
    }


def _channels(found: "tuple[Channel, ...]") -> str:
    cells = [
        [one.name, one.kind, ", ".join(sorted(one.tells)) or "all", ", ".join(sorted(one.owners)) or "all"]
        for one in found
    ]
    return table(("channel", "kind", "tells", "owners"), cells, "There is no channel. See docs/notifications.md.")


def _notices(rows: list[dict[str, object]]) -> str:
    head = ("state", "channel", "kind", "title", "created_at", "failures", "trouble")
    cells = [["" if row[name] is None else row[name] for name in head] for row in rows]
    return table(head, cells, "Nothing was to be told yet.")


@command(changes=True)
@click.argument("channel")
def test(session: Session, channel: str) -> None:
    """Has the scheduler send a test by CHANNEL, as it sends everything."""
    from ca.authority import notices

    with session.authority() as authority:
        known = [one.name for one in notices.channels(authority)]
        notice_id = None
        if not session.dry_run or channel not in known:
            notice_id = notices.try_out(authority, channel, operator()).id
    said = f"The scheduler sends a test by {channel}; see 'certwright notify list'."
    answer(session, {"channel": channel, "notice": notice_id, "dry_run": session.dry_run}, said)
