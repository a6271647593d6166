"""What the authority remembers of its backups: when the last one was taken."""

from ca.authority.desk import Desk
from ca.errors import NotFound
from ca.records import Actor, Event

SETTING = "backup"


def note(desk: Desk, file: str, at: int, actor: Actor) -> None:
    """Journals a backup, and keeps the moment (epoch seconds) that it is of."""
    with desk.store.transaction():
        desk.store.set_setting(SETTING, str(at))
        desk.journal.append(Event("backup.taken", actor, "database", detail={"at": at}, personal={"file": file}))


def last(desk: Desk) -> int:
    """The moment that the last backup is of (epoch seconds); 0 when there is none."""
    try:
        return int(desk.store.setting(SETTING))
    except NotFound:
        return 0
