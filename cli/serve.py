"""`certwright serve`: the whole service under one supervisor, or one of its processes for a unit or container."""

import click

from ca.errors import BadRequest
from ca.loading import uncollected
from cli.privileges import step_down
from cli.processes import FACES, KINDS, become
from cli.session import Session, command


@command()
@click.option("--only", type=click.Choice(list(KINDS)), help="Run one process in the foreground, without a supervisor.")
@click.option("--faces", default=",".join(FACES), show_default=True, help="The doors that the web process opens.")
def serve(session: Session, only: str | None, faces: str) -> int:
    """Runs the service until SIGTERM or Ctrl-C.

    Without --only it applies migrations, starts signer, fetcher, scheduler, status and web, starts again what
    dies, and at the end lets them finish in order. With --only it never changes tables. In production it is started
    as root and each process runs as the user that the configuration names for it.
    """
    opened = frozenset(part.strip() for part in faces.split(",") if part.strip())
    if not opened or opened - set(FACES):
        raise BadRequest(f"--faces {faces} names no doors that exist.", next_step=f"Choose from {', '.join(FACES)}.")
    if only:
        step_down(session.config, only)
        return become(only, session.config, opened)
    with uncollected():
        from cli import supervise

    return supervise.run(session.config, session.config_path, opened, supervise.Told())
