"""A folder of plain files: whole or not at all, at the paths of URLs, newer with each content."""

import base64
import os
from pathlib import Path

import pytest
from cryptography.x509 import ocsp

from ca import folder as folder_module
from ca.errors import Unavailable
from ca.ocsp import CertID, unauthorized
from ca.targets import items
from ca.targets.folder import PlainFolder
from tests.ca.targets.conftest import SERIAL, SHA1, SHA256, answered, published


@pytest.mark.parametrize("asked", [SHA1, SHA256])
def test_an_answer_lies_at_the_url_of_its_get(tmp_path: Path, asked: CertID) -> None:
    PlainFolder(tmp_path).send(list(items(answered(b"\x30\x01\x07", asked))))
    [file] = [path for path in (tmp_path / "ocsp").rglob("*") if path.is_file()]
    assert file.read_bytes() == b"\x30\x01\x07"
    request = ocsp.load_der_ocsp_request(base64.b64decode(next(items(answered(asked=asked))).path[len("ocsp/") :]))
    assert (request.serial_number, request.issuer_key_hash) == (SERIAL, asked.key_hash)
    assert (tmp_path / "staple/0a1b2c3d4e5f.der").exists() == (asked is SHA1)


def test_slashes_of_the_base64_are_folders_and_two_of_them_are_one(tmp_path: Path) -> None:
    """As the file system reads them, and so a web server finds them, whether it merges slashes or not."""
    asked = CertID("sha1", bytes(20), b"\xff" * 20, SERIAL)
    [answer, _] = items(answered(b"\x30\x01\x07", asked))
    assert "//" in answer.path
    PlainFolder(tmp_path).send([answer])
    assert Path(f"{tmp_path}/{answer.path}").read_bytes() == b"\x30\x01\x07"
    assert Path(f"{tmp_path}/{answer.path.replace('//', '/')}").exists()


def test_its_time_rises_with_each_content_and_stands_with_the_same(tmp_path: Path) -> None:
    folder, file = PlainFolder(tmp_path), tmp_path / "crl/issuing-g1/0000.crl"
    times = []
    for body in (b"\x30\x01\x00", b"\x30\x01\x01", b"\x30\x01\x01", b"\x30\x01\x02"):
        folder.send(list(items(published("crl/issuing-g1/0000.crl", body))))
        times.append(int(file.stat().st_mtime))
        assert file.read_bytes() == body
    assert times[0] < times[1] == times[2] < times[3]


def test_everybody_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    """The scheduler's unit has UMask=0027, and nginx runs as somebody else."""
    before = os.umask(0o077)
    try:
        PlainFolder(tmp_path / "a" / "b").send(list(items(published("crl/issuing-g1/0000.crl"))))
    finally:
        os.umask(before)
    for path in (tmp_path / "a").rglob("*"):
        if path.name != ".certwright":
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


def test_it_says_what_is_unknown_and_whether_it_is_as_it_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = PlainFolder(tmp_path / "new")
    assert not folder.holds()
    folder.send([])
    assert folder.holds()
    assert (tmp_path / "new/unauthorized.der").read_bytes() == unauthorized()
    monkeypatch.setattr(folder_module, "_BOOT", tmp_path / "another boot")
    assert not folder.holds()


def test_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    (tmp_path / "crl").write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be written"):
        PlainFolder(tmp_path).send(list(items(published("crl/issuing-g1/0000.crl"))))


def test_nothing_leaves_the_folder(tmp_path: Path) -> None:
    """Whatever the octets of a CertID are, base64 holds neither dots nor a slash in front."""
    for octets in (bytes(20), b"\xff" * 20, os.urandom(20)):
        for item in items(answered(asked=CertID("sha1", octets, octets, SERIAL))):
            assert (tmp_path / item.path).resolve().is_relative_to(tmp_path)
            assert not item.path.startswith("/")
