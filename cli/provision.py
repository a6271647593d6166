"""`python -m cli.provision DIR LABEL MODULE`: a SoftHSM token, its PIN on stdin, in a process that ends with it.

The demo starts it, so that the supervisor itself never loads a PKCS#11 module.
"""

import sys
from pathlib import Path

from ca.errors import CAError
from ca.keys.softhsm import provision_softhsm
from cli import problems
from cli.processes import join_supervisor


def main() -> int:
    """Exit code of the error family; a token that is there already stays as it is."""
    join_supervisor()
    directory, label, module = sys.argv[1:]
    try:
        provision_softhsm(Path(directory), label, sys.stdin.read().strip(), module)
    except (CAError, OSError) as error:
        return problems.show(error, as_json=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
