"""`python -m ca.keys.signer --config FILE`."""

import argparse
import sys

from ca.config import load
from ca.errors import CAError
from ca.keys.signer.process import run

__all__ = ["main", "run"]


def main() -> int:
    """Runs the signer; the exit code is that of the error family."""
    parser = argparse.ArgumentParser(prog="python -m ca.keys.signer", description="The process that owns the token.")
    parser.add_argument("--config", help="configuration file (default: CERTWRIGHT_CONFIG, then certwright.toml)")
    try:
        run(load(parser.parse_args().config))
    except CAError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
