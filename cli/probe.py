"""Asks the doors of a running service whether they are ready, the way a load balancer would."""

import json
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from ca.config import Config
from ca.errors import CAError, NotFound
from ca.folder import Folder

TIMEOUT = 5.0


@dataclass(frozen=True)
class Answer:
    """What a door said: `ready` is the status that it should have, `missing` what stands between it and one."""

    door: str
    ready: bool
    missing: str = ""


def doors(config: Config) -> tuple[Answer, ...]:
    """Both planes."""
    return (https_door(config), http_door(config))


def roots(config: Config) -> str:
    """PEM of this CA's roots, as the status plane hands them out. Raises `NotFound` before the ceremony."""
    published = Folder(config.path(config.ca.publication_dir)).get("roots.pem")
    if published is None:
        raise NotFound("No root is published.", next_step="Run 'certwright ca init'.")
    return published.body.decode()


def https_door(config: Config) -> Answer:
    """`/ready` over HTTPS, its certificate checked against this CA's root and the name of server.public_url."""
    return _secured(config, "https", config.server.https_listen, 200)


def certificate_door(config: Config) -> Answer:
    """The door for client certificates, by a browser that has none and asks for a page that is not there."""
    return _secured(config, "client certificates", config.ui.client_certificates.listen, 404)


def http_door(config: Config) -> Answer:
    """`/ready` of the status plane."""
    try:
        with _connect(config.server.http_listen) as plain:
            return _ask("http", "localhost", plain)
    except (OSError, HTTPException, ValueError) as error:
        return Answer("http", False, f"{config.server.http_listen}: {error}")


def _secured(config: Config, door: str, listen: str, good: int) -> Answer:
    name = urlsplit(config.server.public_url).hostname or "localhost"
    try:
        context = ssl.create_default_context(cadata=roots(config))
        with _connect(listen) as plain, context.wrap_socket(plain, server_hostname=name) as tls:
            return _ask(door, name, tls, good)
    except (OSError, HTTPException, ValueError, CAError) as error:
        return Answer(door, False, f"{listen}: {error}")


def _connect(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104 - to connect, not to bind
    return socket.create_connection((host, int(port)), timeout=TIMEOUT)


def _ask(door: str, name: str, connection: socket.socket, good: int = 200) -> Answer:
    asked = HTTPConnection(name, timeout=TIMEOUT)
    asked.sock = connection
    asked.request("GET", "/ready", headers={"Connection": "close"})
    answer = asked.getresponse()
    body = answer.read(65536)
    return Answer(door, answer.status == good, "" if answer.status == good else f"{answer.status} {_text(body)}")


def _text(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body))
    except ValueError:
        return body.decode(errors="replace").strip()
