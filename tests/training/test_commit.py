import subprocess
from pathlib import Path

from training.commit import current_commit


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_a_folder_outside_of_git_has_no_commit(tmp_path: Path) -> None:
    assert current_commit(tmp_path) is None


def test_a_checkout_names_its_commit_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    _git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    _git(tmp_path, "add", "a")
    _git(tmp_path, "commit", "-m", "a")
    clean = current_commit(tmp_path)
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert current_commit(tmp_path) == f"{clean}-changed"
