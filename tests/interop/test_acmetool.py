"""acmetool (Debian) obtains, and obtains again for more names; `revoke` of this version never asks the server."""

from pathlib import Path

import pytest

from tests.interop.relying import Chain, RelyingParty
from tests.interop.world import Demo, environment, need, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "acmetool.localhost"
TARGET = """\
request:
  provider: {directory}
  key:
    type: ecdsa
  challenge:
    webroot-paths:
    - {wellknown}
    http-self-test: false
"""


def test_acmetool_obtains_twice(demo: Demo, home: Path, relying: RelyingParty, wellknown: Path) -> None:
    program, state = need("acmetool"), home / "state"
    (state / "conf").mkdir(parents=True)
    (state / "conf" / "target").write_text(TARGET.format(directory=demo.directory, wellknown=wellknown))
    (state / "conf" / "responses").write_text('"acme-enter-email": ""\n')
    live = state / "live" / NAME

    def acmetool(*words: str | Path) -> str:
        env = environment(home, SSL_CERT_FILE=str(demo.root))
        return run(program, "--state", state, "--hooks", home / "hooks", "--batch", *words, env=env)

    acmetool("want", NAME)
    first = Chain.read(live / "fullchain")
    relying.accepts(first, NAME, key=live / "privkey")

    acmetool("unwant", NAME)
    acmetool("want", NAME, f"www.{NAME}")
    second = Chain.read(live / "fullchain")
    assert second.serial != first.serial
    relying.accepts(second, NAME, f"www.{NAME}", key=live / "privkey")
