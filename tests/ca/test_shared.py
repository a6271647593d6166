"""What is made in a folder that users share is their group's too, whatever the umask; elsewhere nothing changes."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ca.shared import make_folder, opened

NEW = os.O_WRONLY | os.O_CREAT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o077, 0o027])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def shared(tmp_path: Path, umask: None) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o2775)
    return folder


def test_a_new_file_is_the_groups_as_it_is_the_owners(shared: Path) -> None:
    for name, asked, given in (("a", 0o600, 0o660), ("b", 0o644, 0o664), ("c", 0o640, 0o660)):
        os.close(opened(shared / name, NEW | os.O_EXCL, asked))
        assert mode(shared / name) == given


def test_a_file_that_is_there_keeps_its_mode(shared: Path) -> None:
    (shared / "own").touch()
    (shared / "own").chmod(0o600)
    os.close(opened(shared / "own", NEW, 0o644))
    assert mode(shared / "own") == 0o600


def test_new_folders_hand_it_down(shared: Path) -> None:
    make_folder(shared / "crl" / "issuing-g1", 0o755)
    os.close(opened(shared / "crl" / "issuing-g1" / "0000.crl", NEW, 0o644))
    assert mode(shared / "crl") == mode(shared / "crl" / "issuing-g1") == 0o2775
    assert mode(shared / "crl" / "issuing-g1" / "0000.crl") == 0o664


def test_elsewhere_the_mode_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    make_folder(tmp_path / "own" / "deep", 0o700)
    os.close(opened(tmp_path / "own" / "file", NEW, 0o600))
    assert (mode(tmp_path / "own"), mode(tmp_path / "own" / "deep")) == (0o700, 0o700)
    assert mode(tmp_path / "own" / "file") == 0o600
