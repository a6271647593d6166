"""What a thief of one process tries, run as that process's user: `python attacker.py FOLDER SOCKET KEY=PATH...`.

Prints one JSON object: which paths it could read and write, and what the signer answered to each operation.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ca.errors import CAError
from ca.keys.client import SignerClient
from ca.records import KeyPurpose, SignKind


def can_read(path: Path) -> bool:
    try:
        if path.is_dir():
            os.listdir(path)
        else:
            path.read_bytes()
    except OSError:
        return False
    return True


def can_write(path: Path) -> bool:
    """Into a folder: whether something new can be put there. Into a file: whether it can be opened to be changed."""
    try:
        if path.is_dir():
            (path / "planted").touch()
            (path / "planted").unlink()
        else:
            path.open("ab").close()
    except OSError:
        return False
    return True


ATTEMPTS: Mapping[str, Callable[[SignerClient], object]] = {
    "health": lambda signer: signer.health(),
    "keys": lambda signer: signer.keys(),
    "generate": lambda signer: signer.generate("stolen-g1", KeyPurpose.ISSUING, "ec-p256"),
    "certify": lambda signer: signer.certify("issuing-g1", b"x"),
    "last-crl": lambda signer: signer.last_crl("issuing-g1", "x"),
    "ledger": lambda signer: list(signer.ledger()),
    "accept-clock": lambda signer: signer.accept_clock(),
    "unlock": lambda signer: signer.unlock(),
    "renew-responder": lambda signer: signer.renew_responder("issuing-g1"),
    **{
        f"sign {kind}": lambda signer, kind=kind: signer.sign("issuing-g1", kind, b"x")  # type: ignore[misc]
        for kind in SignKind
    },
}


def asked(signer: SignerClient, attempt: Callable[[SignerClient], object]) -> str:
    """`done`, or the code of the refusal."""
    try:
        attempt(signer)
    except CAError as error:
        return error.code
    return "done"


def main() -> None:
    socket, *named = sys.argv[1:]
    paths = {key: Path(path) for key, _, path in (one.partition("=") for one in named)}
    signer = SignerClient(Path(socket))
    print(
        json.dumps(
            {
                "reads": sorted(key for key, path in paths.items() if can_read(path)),
                "writes": sorted(key for key, path in paths.items() if can_write(path)),
                "signer": {name: asked(signer, attempt) for name, attempt in ATTEMPTS.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
