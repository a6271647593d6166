"""What the signer demands of its surroundings in production, before it opens anything.

Rules, pins and ledger are worth something only where nobody but the signer can write them, and a PIN where nobody
else can read it. A demo runs as one user, and demands nothing.
"""

from ca.config import Config
from ca.errors import ConfigError
from ca.places import inspect, places
from ca.users import demand, resolve

ROOTS = ("program", "environment", "configuration", "hsm.module")
"""Places of root that decide what the signer does."""


def demand_safe_surroundings(config: Config) -> None:
    """Raises `ConfigError`, with the command that mends it, for the first thing that is not as it must be."""
    if config.mode != "production":
        return
    demand(config, "signer")
    if not config.hsm.module:
        raise ConfigError(
            "In production mode hsm.module is named by the file alone, and it names none.",
            next_step="Set hsm.module, for instance /usr/lib/softhsm/libsofthsm2.so.",
        )
    users = resolve(config.users)
    for one in places(config):
        if one.owner == "signer" or one.key in ROOTS:
            inspect(one, users)
