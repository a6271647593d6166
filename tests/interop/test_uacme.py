"""uacme (Debian) obtains, renews and revokes, with the hook that its package ships."""

from pathlib import Path

import pytest

from tests.interop.names import Names
from tests.interop.relying import Chain, RelyingParty
from tests.interop.world import Demo, environment, need, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "uacme.localhost"
HOOK = Path("/usr/share/uacme/uacme.sh")
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def test_uacme_obtains_renews_and_revokes(demo: Demo, home: Path, relying: RelyingParty, wellknown: Path) -> None:
    env = environment(home, UACME_CHALLENGE_PATH=str(wellknown))
    base = [*trusting(demo.root, home), need("uacme"), "-a", demo.directory, "-c", str(home), "-t", "EC", "-y"]
    files, key = home / NAME, home / "private" / NAME / "key.pem"

    def uacme(*words: str | Path) -> str:
        return run(*base, *words, env=env)

    uacme("new")
    uacme("-h", HOOK, "issue", NAME)
    first = Chain.read(files / "cert.pem")
    relying.accepts(first, NAME, key=key)

    uacme("-h", HOOK, "-f", "issue", NAME)
    second = Chain.read(files / "cert.pem")
    assert second.serial != first.serial
    relying.accepts(second, NAME, key=key)

    uacme("-r", "5", "revoke", files / "cert.pem")
    relying.refuses(second, reason="cessationOfOperation")
    relying.accepts(first, NAME)


DNS_HOOK = """\
#!/bin/sh
[ "$2" = dns-01 ] || exit 1
case "$1" in
begin) exec {say} present "_acme-challenge.$3" "$5" ;;
*) exec {say} cleanup "_acme-challenge.$3" "$5" ;;
esac
"""


def test_uacme_obtains_by_dns_01(demo: Demo, home: Path, relying: RelyingParty, names: Names) -> None:
    hook, name = home / "hook", "uacme.test"
    hook.write_text(DNS_HOOK.format(say=names.script(home)))
    hook.chmod(0o755)
    base = [*trusting(demo.root, home), need("uacme"), "-a", demo.directory, "-c", str(home), "-t", "EC", "-y"]
    for words in (("new",), ("-h", hook, "issue", name)):
        run(*base, *words, env=environment(home))
    relying.accepts(Chain.read(home / name / "cert.pem"), name)


def trusting(root: Path, home: Path) -> list[str]:
    """uacme asks the system's bundle and no other: it gets a mount namespace of its own where that is our root."""
    command = [need("unshare", "util-linux"), "--map-root-user", "--mount", "sh", "-c", _MOUNT, "sh", str(root)]
    if not (SYSTEM_BUNDLE.exists() and HOOK.exists()):
        pytest.skip("uacme needs its package's hook and the ca-certificates package: apt-get install uacme")
    try:
        run(*command, "true", env=environment(home))
    except AssertionError as refused:
        pytest.skip(f"this machine grants no mount namespace, which uacme needs to trust a test root: {refused}")
    return command


_MOUNT = f'mount --bind "$1" {SYSTEM_BUNDLE} && shift && exec "$@"'
