"""What the pages ship of other projects is what its README says."""

import hashlib
import re
from pathlib import Path

from django.conf import settings

VENDOR = Path(settings.BASE_DIR) / "finops" / "static" / "vendor"


def test_every_vendored_file_has_the_checksum_that_the_readme_names() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$", readme(), re.MULTILINE)
    listed = dict(rows)
    files = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name not in {"README.md", "LICENSE"}
    }
    assert files == listed


def test_every_vendored_folder_has_its_licence() -> None:
    for folder in VENDOR.iterdir():
        assert folder.is_file() or (folder / "LICENSE").is_file()


def readme() -> str:
    return (VENDOR / "README.md").read_text()
