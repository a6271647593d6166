"""dehydrated (Debian; bash, curl and openssl) obtains, renews and revokes."""

from pathlib import Path

import pytest

from tests.interop.names import Names
from tests.interop.relying import Chain, RelyingParty
from tests.interop.world import Demo, environment, need, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "dehydrated.localhost"
CONFIG = """\
CA="{directory}"
BASEDIR="{folder}"
WELLKNOWN="{wellknown}"
KEY_ALGO=prime256v1
CURL_OPTS="--cacert {root}"
"""


def test_dehydrated_obtains_renews_and_revokes(demo: Demo, home: Path, relying: RelyingParty, wellknown: Path) -> None:
    program = need("dehydrated")
    need("curl")
    config = home / "config"
    values = {"directory": demo.directory, "folder": home, "wellknown": wellknown, "root": demo.root}
    config.write_text(CONFIG.format(**values))
    files = home / "certs" / NAME

    def dehydrated(*words: str | Path) -> str:
        return run(program, "--config", config, *words, env=environment(home))

    dehydrated("--register", "--accept-terms")
    dehydrated("--cron", "--domain", NAME)
    first = Chain.read(files / "fullchain.pem")
    relying.accepts(first, NAME, key=files / "privkey.pem")

    dehydrated("--cron", "--force", "--domain", NAME)
    second = Chain.read(files / "fullchain.pem")
    assert second.serial != first.serial
    relying.accepts(second, NAME, key=files / "privkey.pem")

    dehydrated("--revoke", (files / "cert.pem").resolve())
    relying.refuses(second)
    relying.accepts(first, NAME)


HOOK = """\
#!/bin/sh
case "$1" in
deploy_challenge) exec {say} present "_acme-challenge.$2" "$4" ;;
clean_challenge) exec {say} cleanup "_acme-challenge.$2" "$4" ;;
esac
"""


def test_dehydrated_obtains_by_dns_01(demo: Demo, home: Path, relying: RelyingParty, names: Names) -> None:
    program, domain = need("dehydrated"), "dehydrated.test"
    (home / "hook").write_text(HOOK.format(say=names.script(home)))
    (home / "hook").chmod(0o755)
    values = {"directory": demo.directory, "folder": home, "wellknown": home, "root": demo.root}
    (home / "config").write_text(CONFIG.format(**values) + f'CHALLENGETYPE="dns-01"\nHOOK="{home / "hook"}"\n')
    for words in (("--register", "--accept-terms"), ("--cron", "--domain", domain)):
        run(program, "--config", home / "config", *words, env=environment(home))
    relying.accepts(Chain.read(home / "certs" / domain / "fullchain.pem"), domain)
