"""The DNS of the interop tests: a real server for the zone `test`, and a door for the hooks of clients.

The door takes what lego's `httpreq` provider sends: POST /present and /cleanup with {"fqdn": …, "value": …}.
"""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acme_server import net

ZONE = "test"

SAY = """\
#!/bin/sh
curl --silent --show-error --fail --data "{{\\"fqdn\\": \\"$2\\", \\"value\\": \\"$3\\"}}" "{door}/$1"
"""


@dataclass(frozen=True)
class Names:
    """`server` answers for every name below `test`; `door` is the URL of its hooks."""

    server: net.Zone
    door: str

    @property
    def environment(self) -> dict[str, str]:
        """What a demo has to be told so that it asks here."""
        return {"CERTWRIGHT_ACME__VALIDATION__ZONE_RESOLVERS": json.dumps({ZONE: [self.server.address]})}

    def script(self, folder: Path) -> Path:
        """A program `say present|cleanup NAME VALUE` for the hooks of clients that know no DNS."""
        path = folder / "say"
        path.write_text(SAY.format(door=self.door))
        path.chmod(0o755)
        return path


@contextmanager
def names() -> Iterator[Names]:
    """Both servers, on free ports of loopback."""
    with net.zone() as zone:
        door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _door(zone))
        threading.Thread(target=door.serve_forever, daemon=True).start()
        try:
            yield Names(zone, f"http://127.0.0.1:{door.server_address[1]}")
        finally:
            door.shutdown()
            door.server_close()


def _door(zone: net.Zone) -> type[http.server.BaseHTTPRequestHandler]:
    class Door(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            texts = zone.texts.setdefault(asked["fqdn"].rstrip(".").lower(), [])
            if self.path == "/present":
                texts.append(asked["value"])
            elif asked["value"] in texts:
                texts.remove(asked["value"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Door
