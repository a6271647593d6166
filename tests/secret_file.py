"""Files with secrets, as an operator writes them."""

from pathlib import Path


def secret(path: Path, text: str) -> Path:
    """A file for its owner alone."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text + "\n")
    return path
