"""Apache's mod_md (Debian) obtains while it serves, and serves the certificate after a restart."""

import os
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.relying import PEM, Chain, RelyingParty
from tests.interop.world import Demo, environment, need
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "apache.localhost"
MODULES = Path("/usr/lib/apache2/modules")
CONFIG = """\
ServerRoot {home}
DefaultRuntimeDir {home}
PidFile {home}/pid
ErrorLog {home}/log
LogLevel warn md:info
{user}
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{https_port} https
{modules}
ServerName {name}
MDCertificateAuthority {directory}
MDCACertificateFile {root}
MDCertificateAgreement accepted
MDContactEmail ops@{name}
MDPortMap 80:{port} 443:{https_port}
MDCAChallenges http-01
MDStoreDir {home}/md
MDomain {name}
<VirtualHost *:{https_port}>
  SSLEngine on
  ServerName {name}
</VirtualHost>
"""


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A folder that Apache's own user may enter, as tests' folders are not."""
    folder = Path(tempfile.mkdtemp(prefix="apache-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_mod_md_obtains_and_serves(demo: Demo, open_home: Path, relying: RelyingParty, port: int) -> None:
    program, https_port = need("apache2"), free_port()
    (open_home / "root.pem").write_bytes(demo.root.read_bytes())
    values = {"home": open_home, "name": NAME, "port": port, "https_port": https_port, "root": open_home / "root.pem"}
    user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
    text = CONFIG.format(**values, modules=_modules(), directory=demo.directory, user=user)
    (open_home / "conf").write_text(text)
    with _serving(program, open_home):
        _wait_for(open_home / "md" / "staging" / NAME / "job.json", b'"finished":true', open_home)
    with _serving(program, open_home):
        obtained = Chain.read(open_home / "md" / "domains" / NAME / "pubcert.pem")
        relying.accepts(obtained, NAME)
        served = ssl.get_server_certificate(("127.0.0.1", https_port), ca_certs=str(demo.root), timeout=10)
        assert served == obtained.leaf.public_bytes(PEM).decode()


def _modules() -> str:
    names = ("mpm_event", "authz_core", "socache_shmcb", "ssl", "md")
    if not all((MODULES / f"mod_{name}.so").exists() for name in names):
        pytest.skip("mod_md is not installed: apt-get install apache2")
    return "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in names)


@contextmanager
def _serving(program: str, home: Path) -> Iterator[None]:
    command = [program, "-D", "FOREGROUND", "-f", str(home / "conf")]
    process = subprocess.Popen(command, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(path: Path, wanted: bytes, home: Path) -> None:
    end = time.monotonic() + 60
    while not (path.exists() and wanted in path.read_bytes().replace(b" ", b"")):
        assert time.monotonic() < end, (home / "log").read_text()[-4000:]
        time.sleep(0.2)
