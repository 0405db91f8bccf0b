"""The documents' commands and Python, as they are written, with the real weights and small data of the same names.

What a command needs beyond that is said beside it, in the document (tests/documents.py). A document's blocks run in
their order, in one folder: a command finds what those before it have written. Chosen alone (-k), a block lacks that.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.documents import PYTHON, Block, documents, runnable
from tests.end_to_end.reader import challenge_server, environment, furnish
from tracker.checkpoints.weights import WEIGHTS_NAMES

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.timeout(7200)]

DOCUMENTS = documents()
COMPACT = re.compile(r"""--model compact|DMB_MODEL=compact|DMB-compact|model="compact\"""")
SAID = {"README.md": ") 0."}  # in the last line that a document's Python prints
BLOCKS = [block for blocks in DOCUMENTS.values() for block in blocks if runnable(block)]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with challenge_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The readers' folders by document; each is made when its first block runs."""
    return {name: tmp_path_factory.mktemp("reader") for name in DOCUMENTS}


def run(words: list[str], place: str, root: Path, variables: dict[str, str]) -> str:
    """Run a program; returns what it has printed."""
    done = subprocess.run(
        words, cwd=root, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode == 0, f"{place}: exit code {done.returncode} of\n{words[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_block_runs(folders: dict[str, Path], proxy: str, block: Block) -> None:
    if COMPACT.search(block.code) and not (CHECKOUT / "weights" / WEIGHTS_NAMES["compact"]).is_file():
        pytest.skip("the compact model's weights are not in weights/")
    root = folders[block.document]
    if not any(root.iterdir()):
        furnish(root, block.document, DOCUMENTS[block.document])
    variables = environment(root, proxy)
    if block.language == PYTHON:
        text = run([sys.executable, "-c", block.code], str(block), root, variables)
        assert SAID.get(block.document, "") in "".join(text.splitlines()[-1:])
        return
    for command in block.commands:
        if not command.needs:
            run(["bash", "-c", command.text], f"{block.document}:{command.line}", root, variables)
