"""Which code is running."""

import subprocess
from pathlib import Path


def current_commit(folder: Path) -> str | None:
    """The commit that is checked out in `folder`, with `-changed` when files differ from it; None outside of git."""
    revision = _git(folder, "rev-parse", "HEAD")
    if revision is None:
        return None
    return f"{revision}-changed" if _git(folder, "status", "--porcelain", "--untracked-files=no") else revision


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # git itself is not installed
        return None
    return done.stdout.strip() if done.returncode == 0 else None
