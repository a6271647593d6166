"""HAProxy's runtime socket: staples are replaced in the running process, without a reload.

HAProxy staples for the certificates that it was started with, so it is asked first which those are. What it is told it
forgets when it is started again; then it reads the files beside its certificates, and is told all of it once more.
"""

import base64
import re
import socket
from collections.abc import Sequence
from pathlib import Path

from ca.clock import Clock
from ca.errors import Unavailable
from ca.ocsp import CertID, answer_path
from ca.sockets import socket_address
from ca.targets.items import Item

SECONDS = 10.0
_MOST = 16 << 20
_CHUNK = 64 << 10
_HELD = re.compile(
    r"Issuer Name Hash: ([0-9A-Fa-f]{40})\s+Issuer Key Hash: ([0-9A-Fa-f]{40})\s+Serial Number: ([0-9A-Fa-f]+)\s"
)
_UPTIME = re.compile(r"^Uptime_sec: (\d+)\s*$", re.MULTILINE)


class HAProxy:
    """A HAProxy (2.5 or later) by its socket of level admin."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def holds(self, since: int) -> bool:
        """Whether the process that was told until then is the one that runs. Raises `Unavailable`."""
        uptime = _UPTIME.search(self._ask("show info"))
        if uptime is None:
            raise self._failed("it does not say for how long it has been running")
        return self._clock() - int(uptime[1]) < since

    def wanted(self) -> list[str]:
        """The answers to its own certificates. Raises `Unavailable`."""
        return list(map(answer_path, self._held()))

    def send(self, items: Sequence[Item]) -> None:
        """Tells it the staples of its own certificates; nothing of any other. Raises `Unavailable`."""
        staples = {_serial(item.path): item.body for item in items if item.part == "staple"}
        held = {one.serial for one in self._held()} if staples else set()
        for serial in sorted(staples.keys() & held):
            said = self._ask(f"set ssl ocsp-response <<\n{base64.b64encode(staples[serial]).decode()}\n")
            if "OCSP Response updated" not in said:
                raise self._failed(f"for {serial:x}: {said.strip() or 'nothing was said'}")

    def _held(self) -> list[CertID]:
        """What its certificates are asked by: HAProxy knows SHA-1 alone."""
        found = _HELD.findall(self._ask("show ssl ocsp-response"))
        return [CertID("sha1", bytes.fromhex(name), bytes.fromhex(key), int(serial, 16)) for name, key, serial in found]

    def _ask(self, command: str) -> str:
        """One command on a connection of its own: HAProxy closes it behind its answer."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(SECONDS)
                with socket_address(self._path) as address:
                    connection.connect(address)
                connection.sendall(f"{command}\n".encode())
                said = b""
                while (chunk := connection.recv(_CHUNK)) and len(said) < _MOST:
                    said += chunk
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error
        return said.decode("latin-1")

    def _failed(self, why: str) -> Unavailable:
        return Unavailable(
            f"HAProxy at {self._path}: {ascii(why)[1:-1][:300]}.",
            next_step="Check 'stats socket … level admin' in its configuration, and who may open that socket.",
        )


def _serial(path: str) -> int:
    return int(path.removeprefix("staple/").removesuffix(".der"), 16)
