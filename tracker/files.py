"""Files that appear under their names only when they are complete: an interrupted run leaves no half of one."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UMASK = os.umask(0o077)  # can only be read by setting it: once, before there are threads
os.umask(UMASK)
PREFIX = 40  # characters of a file's name that the unfinished one keeps: its own must not become too long


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of an empty file to write to; it becomes `path` at the end, or is removed where something fails.

    Args:
        path: where to, in an existing folder; a file that is there already stays whole until then.

    Raises:
        OSError: no file can be made there, or it cannot be written, because the disk is full for instance. It names
            `path`, whatever a library has made of it.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:PREFIX]}.")
    os.close(descriptor)
    draft = Path(name)
    try:
        yield draft
        os.chmod(draft, 0o666 & ~UMASK)  # temporary files are their owner's only
        os.replace(draft, path)
    except Exception as error:
        number = _system_error(error, draft)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
    finally:
        draft.unlink(missing_ok=True)


def _system_error(error: Exception, draft: Path) -> int | None:
    """The system's error number behind a failure to write `draft`; None where it is about something else."""
    if isinstance(error, OSError):
        return error.errno if error.filename in (None, str(draft)) else None
    if type(error) is RuntimeError and isinstance(error.__context__, OSError):  # torch.save, into an open file
        return error.__context__.errno
    told = re.search(r"\(os error (\d+)\)", str(error))  # safetensors
    return int(told[1]) if told else None


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file in an existing folder, atomically; text becomes UTF-8. Raises OSError where that fails."""
    with replacing(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
