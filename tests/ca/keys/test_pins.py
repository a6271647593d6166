"""The signer's own file of pinned keys."""

from pathlib import Path

import pytest

from ca.errors import Conflict, HSMError, NotFound
from ca.keys.ring import KeyState
from ca.keys.signer.pins import Pinned, Pins
from ca.records import Key, KeyPurpose


def pinned(key_id: str) -> Pinned:
    key = Key(key_id, KeyPurpose.ISSUING, "ec-p256", b"spki", "pre-active", True, {"LOCAL": True}, 1_800_000_000)
    return Pinned(key, b"\x01" * 16)


def test_what_was_pinned_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    pins = Pins(path)
    pins.add(pinned("issuing-g1"))
    pins.add(pinned("issuing-g2"))
    pins.change(pinned("issuing-g1").in_state(KeyState.ACTIVE))
    again = Pins(path)
    assert again.all() == pins.all()
    assert again.get("issuing-g1").key.state == "active"
    assert again.get("issuing-g2") == pinned("issuing-g2")
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_id_is_used_once(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "keys.json")
    pins.add(pinned("issuing-g1"))
    with pytest.raises(Conflict):
        pins.add(pinned("issuing-g1"))
    with pytest.raises(NotFound):
        pins.get("issuing-g2")
    with pytest.raises(NotFound):
        pins.change(pinned("issuing-g2"))


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"format":1}', b'{"format":2,"keys":[]}', b'{"format":1,"keys":[{}]}']
)
def test_a_damaged_file_stops_the_signer(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    with pytest.raises(HSMError) as raised:
        Pins(path)
    assert raised.value.next_step


def test_what_cannot_be_written_is_not_pinned(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "gone" / "keys.json")
    with pytest.raises(HSMError, match="cannot write"):
        pins.add(pinned("issuing-g1"))
    assert pins.all() == ()
