"""`certwright db`: the tables are brought up to date by the supervisor or by hand, never by a lone child."""

from cli.output import answer
from cli.privileges import prepare_places
from cli.session import Session, command


@command(changes=True)
def migrate(session: Session) -> None:
    """Applies the migrations that wait, under a lock, so that two nodes may start it at once.

    Uses database.migrate_url where the writers may not change tables, and then grants the role of database.url what
    it needs and no more.
    """
    from ca import store

    url = session.config.database_url(session.config.database.migrate_url)
    waiting = store.pending(url)
    if not session.dry_run:
        prepare_places(session.config)
        store.bring_up_to_date(session.config)
    verb = "would be applied" if session.dry_run else "applied"
    done = ", ".join(waiting)
    answer(session, {"applied": waiting, "dry_run": session.dry_run}, f"{verb}: {done}" if done else "Nothing waits.")


@command()
def status(session: Session) -> int:
    """Lists the migrations that wait; exit code 1 when there are any."""
    from ca import store

    waiting = store.pending(session.config.database_url(session.config.database.migrate_url))
    text = f"waits: {', '.join(waiting)}. Run 'certwright db migrate'." if waiting else "The tables are up to date."
    answer(session, {"pending": waiting}, text)
    return 1 if waiting else 0
