"""The scripts behind ``make demo``: they find a fitting Python, or say which to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.parts import ROOT


def find_python(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run tools/find-python where ``path`` is the first folder that is searched."""
    return subprocess.run(
        ["/bin/sh", str(ROOT / "tools" / "find-python")],
        env={"PATH": f"{path}:/usr/bin:/bin", "HOME": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def pretend(folder: Path, name: str, script: str) -> Path:
    """Put a program into the folder."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def hide_system_pythons(folder: Path) -> None:
    for minor in ("", ".11", ".12", ".13"):
        pretend(folder, f"python3{minor}", "echo Python 3.9.2; exit 1")


def test_the_default_python_is_taken_where_it_fits(tmp_path: Path) -> None:
    fitting = pretend(tmp_path, "python3", f'exec "{sys.executable}" "$@"')
    assert find_python(tmp_path).stdout.strip() == str(fitting)


def test_a_fitting_one_is_taken_where_the_default_is_another_version(tmp_path: Path) -> None:
    hide_system_pythons(tmp_path)
    fitting = pretend(tmp_path, "python3.12", f'exec "{sys.executable}" "$@"')
    assert find_python(tmp_path).stdout.strip() == str(fitting)


def test_a_name_that_runs_nothing_is_passed_over(tmp_path: Path) -> None:
    hide_system_pythons(tmp_path)
    pretend(tmp_path, "python3.13", "echo 'python3.13: command not found' >&2; exit 127")
    fitting = pretend(tmp_path, "python3.11", f'exec "{sys.executable}" "$@"')
    assert find_python(tmp_path).stdout.strip() == str(fitting)


def test_a_named_one_comes_first(tmp_path: Path) -> None:
    fitting = pretend(tmp_path, "mine", f'exec "{sys.executable}" "$@"')
    assert find_python(tmp_path, PYTHON=str(fitting)).stdout.strip() == str(fitting)


def test_without_any_the_message_says_what_to_install(tmp_path: Path) -> None:
    hide_system_pythons(tmp_path)
    refused = find_python(tmp_path)
    if refused.returncode == 0:
        pytest.skip(f"{refused.stdout.strip()} stands in a place that is searched besides PATH")
    assert "needs Python 3.11, 3.12 or 3.13" in refused.stderr
    assert "Python 3.9.2" in refused.stderr
    assert "brew install" in refused.stderr


def test_a_missing_wheel_is_named_with_the_platforms_that_have_one(tmp_path: Path) -> None:
    """The real install script, with a lock that asks for something no index has."""
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    environment = tmp_path / ".venv" / "bin"
    environment.mkdir(parents=True)
    script = """case "$1" in
-c) ;;
-V) echo Python 3.12.1 ;;
*) echo 'ERROR: No matching distribution found for secantusdb==0.7.0b3'; exit 1 ;;
esac"""
    pretend(environment, "python", script)
    (tmp_path / "lock.txt").touch()
    refused = subprocess.run(
        ["tools/install", "lock.txt"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "No build of secantusdb==0.7.0b3 fits this platform" in refused.stderr
    assert not (environment.parent / "installed-lock").exists()
