"""A SoftHSM token in a folder of its own, for the demo, ceremonies and tests: no softhsm2-util needed."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from ca.keys.module import Module

_CONFIGURATION = """\
# Written by Certwright. A software token: whoever reads this folder and knows the PIN has the keys.
directories.tokendir = {tokens}
objectstore.backend = file
objectstore.umask = 0077
log.level = ERROR
slots.removable = false
"""


def softhsm_environment(directory: Path) -> dict[str, str]:
    """The environment under which the module finds the tokens of this folder."""
    return {"SOFTHSM2_CONF": str(directory.resolve() / "softhsm2.conf")}


def private_store(directory: Path) -> dict[str, str]:
    """Makes the folder of a token store (0700) with its configuration; answers the module's environment."""
    tokens = directory.resolve() / "tokens"
    for folder in (directory, tokens):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = softhsm_environment(directory)
    with suppress(FileExistsError), open(environment["SOFTHSM2_CONF"], "x", opener=_private) as file:
        file.write(_CONFIGURATION.format(tokens=tokens))
    return environment


def provision_softhsm(directory: Path, label: str, pin: str, module: str, *, so_pin: str = "") -> dict[str, str]:
    """A private token store with one token; answers the environment to use it with.

    A token of that label that stands there already is left alone. The security officer's PIN is random and
    kept nowhere unless one is given: a lost user PIN is a lost token then. Loads the module in this process.
    """
    environment = private_store(directory)
    loaded = Module.load(module, environment)
    if all(token.label != label for token in loaded.tokens()):
        loaded.initialize_token(label, so_pin or secrets.token_hex(16), pin)
    return environment


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
