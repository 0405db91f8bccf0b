"""Where a reader of a document is: a folder with small data under the names that the document's commands use.

Programs that would take long or act on the checkout are asked for less: `make` says what it would do (-n), `pytest`
which tests it would run, the demo's sequences are short, and trainings take one small step (short_training.py). The
challenges' server is a local one, behind a proxy's address.
"""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from tests.benchmarks.box_layouts import write_got10k, write_otb, write_trackingnet
from tests.conftest import CHECKOUT, clean_environment
from tests.data.davis_folders import two_squares, write_davis, write_masks
from tests.documents import PROGRAMS, Block
from tests.media.clips import write_clip
from tests.training.pictures import gray_png, image, labels, palette_png, write
from tests.training.readers import test_coco
from tests.vot_workspace.mask_folders import pack
from tracker.checkpoints.weights import find_weights
from tracker.network import DMBNet
from vot_workspace.challenges import find_stack, make_workspace
from vot_workspace.demo import SCRIPTS, render
from vot_workspace.writer import write_sequence

HELD_OUT = ("bmx-bumps", "breakdance-flare", "car-turn", "dog-agility", "kite-walk", "scooter-gray")
FRAMES, SIZE = 6, (160, 120)
NOWHERE = "http://127.0.0.1:9"
BIN = ".venv/bin"
STARTS = {
    "dmb": 'exec "{python}" -m tests.end_to_end.short_training "$@"\n',
    "vot": 'exec "{python}" -m vot "$@"\n',
    "python": 'case "$1 $2" in\n"-m vot_workspace.demo") exec "{python}" "$@" --frames {frames};;\n'
    '"-m pytest") cd "{checkout}" && exec "{python}" "$@" --collect-only -q;;\nesac\nexec "{python}" "$@"\n',
    "pip": 'exec "{python}" -m pip "$@"\n',
    "make": 'exec "{make}" -n -C "{checkout}" "$@"\n',
}


def write_programs(root: Path) -> None:
    """Write what the reader may type, in `root`/.venv/bin."""
    folder = root / BIN
    folder.mkdir(parents=True)
    (folder / "activate").write_text("")  # the path leads there already
    for name in PROGRAMS:
        places = {"python": sys.executable, "make": shutil.which("make"), "checkout": CHECKOUT}
        script = STARTS[name].format(**places, frames=FRAMES)
        (folder / name).write_text(f"#!/bin/sh\n{script}")
        (folder / name).chmod(0o755)


def frames(count: int = FRAMES) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images in OpenCV's order of channels, with masks 0 and 255."""
    for frame in render("cup", SCRIPTS["cup"], count, SIZE):
        yield cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), frame.mask.astype(np.uint8) * 255


def write_mask_videos(folder: Path, names: Sequence[str]) -> Path:
    """A folder of sequences with a mask for every frame."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for index, (picture, mask) in enumerate(frames()):
            cv2.imwrite(str(folder / name / f"{index:05d}.jpg"), picture)
            cv2.imwrite(str(folder / name / f"{index:05d}.png"), mask)
    return folder


def write_vot(root: Path, code: str) -> None:
    """Sequences in the toolkit's format as a folder and as a tar file, with the names that the commands ask for."""
    asked = {name for names in re.findall(r"--vot-sequences((?: \w+)+)", code) for name in names.split()}
    names = sorted(asked or {"cat"})
    for name in names:
        write_sequence(root / "vot2014" / name, render("cat", SCRIPTS["cat"], FRAMES, SIZE), kind="polygon")
    (root / "vot2014" / "list.txt").write_text("".join(f"{name}\n" for name in names))
    pack(root / "vot2014", root / "vot2014-dev.tar")


def write_training_davis(root: Path) -> None:
    """DAVIS as the trackers' benchmark and as the training read it."""
    write_davis(root, {"pair": [two_squares(index) for index in range(FRAMES)]})
    shutil.copytree(root / "ImageSets" / "2017", root / "ImageSets" / "2016")
    write(root, _video("JPEGImages/480p/bear", "Annotations/480p/bear"))
    (root / "ImageSets" / "2017" / "train.txt").write_text("bear\n")


def _video(images: str, masks: str) -> dict[str, bytes]:
    files = {f"{images}/{index:05d}.jpg": image(seed=index) for index in range(4)}
    return files | {f"{masks}/{index:05d}.png": palette_png(labels(1, 2)) for index in range(4)}


def _stills(images: str, masks: str) -> dict[str, bytes]:
    return {f"{images}/1.jpg": image(), f"{masks}/1.png": gray_png(labels(255))}


def write_shards(folder: Path) -> None:
    """Shards of stills and videos, as they are described."""
    for name in ("stills-000", "davis2016-train"):
        inside = _stills(".", ".") if name == "stills-000" else _video("bear", "bear")
        pack(write(folder / "unpacked", inside), folder / f"{name}.tar")
        shutil.rmtree(folder / "unpacked")


def write_dir(root: Path) -> None:
    """A folder that the documents leave open: masks of an answer, and shards to train on."""
    write_masks(root / "pair", [two_squares(index) for index in range(FRAMES)])
    write_shards(root)


def write_trunk(path: Path) -> None:
    """An untrained ResNet-50 up to layer3, by torchvision's names."""
    save_file({name: tensor.contiguous() for name, tensor in _resnet().items()}, path)


def write_resnet(path: Path) -> None:
    """A ResNet-50 by torchvision's names, with little of the parts that are not used."""
    unused = {"layer4.0.conv1.weight": torch.zeros(512, 1024, 1, 1), "fc.weight": torch.zeros(9, 9)}
    torch.save(_resnet() | unused, path)


def _resnet() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    theirs = {"res2": "layer1", "res3": "layer2", "res4": "layer3"}
    state = DMBNet(stride_on="3x3").query_encoder.state_dict()
    parts = {name: name.split(".", 1) for name in state if "num_batches" not in name}
    return {f"{theirs.get(first, first)}.{rest}": state[name] for name, (first, rest) in parts.items()}


def copy_weights(path: Path) -> None:
    """The project's weights; a copy, since commands may write there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(find_weights(), path)


def write_video(path: Path) -> None:
    """A video that is large enough for the documents' box."""
    write_clip(path, [frame.image for frame in render("cat", SCRIPTS["cat"], FRAMES, (320, 240))])


def write_davis_tar(path: Path) -> None:
    """A tar file of all held-out sequences."""
    pack(write_mask_videos(path.with_suffix(""), HELD_OUT), path)


def write_all_got10k(root: Path) -> None:
    """GOT-10k's validation and test sets, which share names of sequences."""
    write_got10k(root)
    write_got10k(root, "test", first=True)


def write_coco(root: Path) -> None:
    """COCO with a single thing."""
    test_coco.make(root, test_coco.thing(5, [test_coco.SQUARE]))


def write_workspace(path: Path) -> None:
    """A workspace with a short sequence."""
    with TemporaryDirectory() as folder:
        write_sequence(Path(folder, "cat"), render("cat", SCRIPTS["cat"], FRAMES, SIZE), kind="polygon")
        make_workspace(find_stack("dev"), path, sequences=pack(Path(folder), path.with_suffix(".tar")))


MADE: dict[str, Callable[[Path], object]] = {
    "video.mp4": write_video,
    "kite.mp4": write_video,
    "davis2016-train.tar": write_davis_tar,
    "DAVIS": write_training_davis,
    "GOT-10k": write_all_got10k,
    "TrackingNet": lambda path: write_trackingnet(path, "TEST", first=True),
    "OTB100": write_otb,
    "YouTube-VOS": lambda path: write(path / "train", _video("JPEGImages/0a", "Annotations/0a")),
    "DUTS-TR": lambda path: write(path, _stills("DUTS-TR-Image", "DUTS-TR-Mask")),
    "ECSSD": lambda path: write(path, _stills("images", "ground_truth_mask")),
    "MSRA10K_Imgs_GT": lambda path: write(path, _stills("Imgs", "Imgs")),
    "COCO": write_coco,
    "shards": write_shards,
    "resnet50_imagenet_to_layer3.safetensors": write_trunk,
    "weights/dmb_r50.safetensors": copy_weights,
    "DIR": write_dir,
    "FILE": copy_weights,
    "FOLDER": lambda path: write_mask_videos(path, ["SEQUENCE"]),
}
MEANT: dict[tuple[str, str], Callable[[Path], object]] = {  # where a document's word is its own
    ("docs/TRAINING.md", "SOURCE"): write_resnet,
    ("docs/TRAINING.md", "my"): write_workspace,
    ("vot_workspace/README.md", "SOURCE"): lambda path: write_mask_videos(path, ["kite", "bus"]),
}


def furnish(root: Path, document: str, blocks: Sequence[Block]) -> None:
    """Write what a document's commands name."""
    write_programs(root)
    code = "".join(block.code for block in blocks)
    if "vot2014" in code:
        write_vot(root, code)
    meant = {name: make for (where, name), make in MEANT.items() if where == document}
    for name, make in {**MADE, **meant}.items():
        if re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", code):
            make(root / name)


@contextmanager
def challenge_server(folder: Path) -> Iterator[str]:
    """The challenges' server, with one short sequence for any challenge; yields its address as a proxy."""
    sequence = folder / "cat"
    write_sequence(sequence, render("cat", SCRIPTS["cat"], FRAMES, SIZE), kind="polygon")
    for kind, files in (("truth", [sequence / "groundtruth.txt"]), ("color", sorted(sequence.glob("color/*")))):
        with zipfile.ZipFile(folder / f"{kind}.zip", "w") as archive:
            for file in files:
                archive.write(file, file.name)
    channel = {"url": "color.zip", "uncompressed": 9, "pattern": "%08d.jpg"}
    truth = {"url": "truth.zip", "uncompressed": 9, "uid": "cat"}
    described = {"name": "cat", "fps": 20, "annotations": truth, "channels": {"color": channel}}
    (folder / "description.json").write_text(json.dumps({"name": "test", "sequences": [described]}))

    class Proxy(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            return str(folder / path.rpartition("/")[2])

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Proxy, directory=folder)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def environment(root: Path, proxy: str) -> dict[str, str]:
    """One core, small crops, the reader's programs, and no network but the local server."""
    return clean_environment(
        DMB_THREADS="1",
        DMB_CROP_SIZE="192",
        OMP_NUM_THREADS="1",
        MPLBACKEND="Agg",
        PATH=f"{root / BIN}:/usr/bin:/bin",
        http_proxy=proxy,
        HTTP_PROXY=proxy,
        https_proxy=NOWHERE,
        HTTPS_PROXY=NOWHERE,
    )
