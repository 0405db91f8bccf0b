"""Files that appear under their names only when they are complete: an interrupted run leaves no half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file in an existing folder, atomically; text becomes UTF-8. Raises OSError where that fails."""
    data = content.encode() if isinstance(content, str) else content
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:40]}.", delete=False) as temporary:
        name = Path(temporary.name)
        try:
            temporary.write(data)
        except OSError:  # the disk is full
            name.unlink(missing_ok=True)
            raise
    os.chmod(name, 0o644)
    os.replace(name, path)
