"""`certwright demo`: a whole CA on this machine, to try it. Composed of commands that anybody may type.

Files and token -> `certwright ca init` -> samples -> `certwright serve`, and a screen that says where everything is.
Every step may be done again; a start that was killed in the middle goes on.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ca.errors import CAError
from ca.loading import uncollected
from cli.files import write_whole
from cli.place import Place, Ports, default_module
from cli.processes import PORT_PATIENCE, demand_free, part
from cli.session import Session, command, operator

if TYPE_CHECKING:
    from ca.authority.people import Link
    from ca.config import Config

DETACHED = "CERTWRIGHT_DETACHED"
"""Set for the demo that was started in the background: whoever started it tells where everything is."""

READY_SECONDS = 90.0
"""How long a detached demo may take before its log is shown instead."""


@command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("certwright-demo"),
    show_default=True,
    help="Where everything is kept.",
)
@click.option("--https-port", type=click.IntRange(1, 65535), help="ACME, API and UI.  [default: 8443]")
@click.option("--http-port", type=click.IntRange(1, 65535), help="OCSP and CRLs.  [default: 8080]")
@click.option("--reset", is_flag=True, help="Delete the demo in that directory first: keys, certificates, everything.")
@click.option("--detach", is_flag=True, help="Return as soon as it is ready, and let it run.")
@click.option("--stop", is_flag=True, help="Stop the demo that runs in that directory.")
def demo(  # noqa: PLR0913 - one argument an option
    session: Session,
    directory: Path,
    https_port: int | None,
    http_port: int | None,
    reset: bool,
    detach: bool,
    stop: bool,
) -> int:
    """Starts a CA on loopback: root and issuing CA in a software token, ACME, API, OCSP and CRLs.

    Nobody may trust its certificates: its keys are demo keys for ever. Stop it by Ctrl-C; a second start
    goes on with the same CA.
    """
    place = Place(directory.resolve())
    ports = Ports(https_port or 0, http_port or 0)
    if stop:
        return _stop(session, place)
    if reset:
        place.stop()
        place.remove()
    place.claim()
    if place.runner():
        if detach:
            _await(place, lambda: bool(place.runner()))
        _screen(session, place)
        return 0
    if detach:
        return _detach(session, place, ports)
    with place.alone():
        return _run(session, place, ports)


def _stop(session: Session, place: Place) -> int:
    stopped = place.stop()
    if not session.quiet:
        click.echo(f"Stopped the demo in {place.path}." if stopped else f"No demo runs in {place.path}.")
    return 0


def _run(session: Session, place: Place, ports: Ports) -> int:
    with uncollected():
        from cli import supervise
    from cli.processes import FACES

    config = _make(session, place, ports)
    _step(session, "starting signer, fetcher, scheduler, status and web")
    told = supervise.Told(
        ready=lambda: None if os.environ.get(DETACHED) else _screen(session, place),
        waiting=lambda missing: _step(session, f"still waiting: {'; '.join(missing)} (log: {place.log})"),
    )
    with place.open_log() as log, redirect_stderr(log):
        return supervise.run(config, place.configuration, frozenset(FACES), told)


def _make(session: Session, place: Place, ports: Ports) -> "Config":
    """The CA, made or found; `root.pem` is written last and says that it is whole."""
    from ca import config as configuration
    from cli.probe import roots
    from cli.signing import signer

    made = place.root.exists() or _has_issuer(place)
    if not made:
        place.start_over()
    _step(session, f"token and configuration in {place.path}")
    place.prepare(ports, default_module())
    config = configuration.load(place.configuration)
    if not made:
        for listen in (config.server.https_listen, config.server.http_listen):
            demand_free(listen, PORT_PATIENCE)  # now: what the ceremony signs names the ports for ever
        _step(session, "ceremony: root, issuing CA and a few sample certificates")
        with signer(config, place.configuration):
            _ceremony(place)
    if not place.root.exists():
        write_whole(place.root, roots(config), mode=0o644)
    return config


def _has_issuer(place: Place) -> bool:
    """Whether the ceremony has ended: a lost root.pem must not cost a whole CA."""
    from ca import config as configuration
    from ca.store import open_store

    try:
        store = open_store(configuration.load(place.configuration))
    except CAError:
        return False
    with closing(store):
        return any(one.kind == "issuing" for one in store.issuers())


def _ceremony(place: Place) -> None:
    """Processes of their own, as in earnest: only `ca init` knows the root's PIN."""
    words = ["--root-dir", str(place.root_token), "--transcript", str(place.path / "ceremony"), "--quiet", "--yes"]
    _do_part(place, "cli.main", "ca", "init", *words)
    _do_part(place, "cli.samples", "--dir", str(place.path / "samples"))


def _do_part(place: Place, module: str, *words: str) -> None:
    with part(module, *words, "--config", str(place.configuration), stdin=subprocess.DEVNULL) as done:
        done.wait()
    if done.returncode:
        raise CAError("The demo cannot be made.", next_step="Mend what is said above, then start it again.")


# --- detached -----------------------------------------------------------------------------------


def _detach(session: Session, place: Place, ports: Ports) -> int:
    """Starts the same command in the background; returns when `/ready` answers 200 on both planes."""
    words = ["demo", "--dir", str(place.path), "--quiet"]
    words += ["--https-port", str(ports.https)] if ports.https else []
    words += ["--http-port", str(ports.http)] if ports.http else []
    with place.output.open("w") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli.main", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, DETACHED: "1"},
            start_new_session=True,
        )
    try:
        _await(place, lambda: child.poll() is None)
    except BaseException:
        child.terminate()
        child.wait()  # else the next start would find one that is about to end, and call it running
        raise
    _screen(session, place)
    return 0


def _await(place: Place, runs: Callable[[], bool]) -> None:
    """Until both doors are ready. Raises `CAError` when the demo ends before, or after READY_SECONDS."""
    end = time.monotonic() + READY_SECONDS
    missing = "nothing answered"
    while time.monotonic() < end:
        if not runs():
            click.echo(place.output.read_text(), err=True, nl=False)
            raise CAError("The demo ended before it was ready.", next_step=f"See the message above and {place.log}.")
        missing = _missing(place)
        if not missing:
            return
        time.sleep(0.1)
    raise CAError(f"The demo is not ready after {READY_SECONDS:.0f} s: {missing}.", next_step=f"See {place.log}.")


def _missing(place: Place) -> str:
    """What the doors lack; raises `PinRefused` at once, because no waiting mends that."""
    if not place.root.exists():
        return "the ceremony has not ended"
    from ca import config as configuration
    from cli.probe import doors
    from cli.signing import demand_pin

    config = configuration.load(place.configuration)
    missing = [f"{one.door}: {one.missing}" for one in doors(config) if not one.ready]
    if missing:
        demand_pin(config)
    return "; ".join(missing)


# --- what people see ----------------------------------------------------------------------------


def _step(session: Session, text: str) -> None:
    if not (session.quiet or session.json):
        click.echo(f"· {text}")


def _screen(session: Session, place: Place) -> None:
    from ca import config as configuration
    from cli import screen

    config = configuration.load(place.configuration)
    screen.show(session, place, config, _link(config))


def _link(config: "Config") -> "Link":
    """A new sign-in link for whoever started the demo: invited at the first time, with every role, to try them all."""
    from ca.authority import open_authority, people
    from ca.people import ROLES
    from cli.samples import SAMPLES

    authority = open_authority(config)
    with closing(authority.store):
        name = re.sub(r"[^a-z0-9._@-]", "-", operator().id.lower())
        if name not in {one.id for one in authority.store.people()}:
            teams = tuple(dict.fromkeys(sample.owner for sample in SAMPLES))
            people.invite(authority, name, tuple(ROLES), teams, operator())
        return people.make_link(authority, name, operator())
