"""Targets as the configuration names them: refused where it is read, or open to use."""

from pathlib import Path

import pytest

from ca import config
from ca.config import Config
from ca.errors import ConfigError
from ca.targets import open_targets

EVERY = """
[targets.a]
kind = "folder"
path = "plain"
only = ["crl", "staple"]
[targets.b]
kind = "http-put"
url = "https://dmz.internal/pki"
token_file = "token"
[targets.c]
kind = "s3"
url = "https://s3.internal/bucket"
access_key = "AKIA"
secret_file = "secret"
[targets.d]
kind = "haproxy"
socket = "haproxy.sock"
"""


def written(folder: Path, text: str) -> Config:
    file = folder / "certwright.toml"
    file.write_text(f'mode = "demo"\n{text}')
    return config.load(file)


def test_each_kind_is_opened_without_its_secrets(tmp_path: Path) -> None:
    found = open_targets(written(tmp_path, EVERY), lambda: 0)
    assert [(one.name, one.kind, one.local) for one in found] == [
        ("a", "folder", True),
        ("b", "http-put", False),
        ("c", "s3", False),
        ("d", "haproxy", True),
    ]
    assert [sorted(one.only) for one in found] == [["crl", "staple"], [], [], ["staple"]]
    assert found[1].cursor == "b"
    assert found[0].cursor.startswith("a@")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[targets.x]\nkind = "ftp"', "targets.x"),
        ('[targets.x]\nkind = "folder"', "targets.x.folder.path"),
        ('[targets.x]\nkind = "folder"\npath = "p"\nonly = ["keys"]', "only"),
        ('[targets."x@y"]\nkind = "folder"\npath = "p"', "pattern"),
        ('[targets.x]\nkind = "http-put"\nurl = "ftp://x"', "no URL"),
        ('[targets.x]\nkind = "http-put"\nurl = "http://dmz.internal"\ntoken_file = "t"', "read on the way"),
        ('[targets.x]\nkind = "http-put"\nurl = "http://127.0.0.1.evil.test"\ntoken_file = "t"', "read on the way"),
        ('[targets.x]\nkind = "s3"\nurl = "https://s3.test"\naccess_key = "a b"\nsecret_file = "s"', "access_key"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_read(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        written(tmp_path, text)


def test_a_token_may_go_in_the_clear_on_this_machine(tmp_path: Path) -> None:
    for host in ("localhost:1", "127.0.0.1", "[::1]:80"):
        written(tmp_path, f'[targets.x]\nkind = "http-put"\nurl = "http://{host}/x"\ntoken_file = "t"')
