"""Generates the demo sequences and ready workspaces for the VOT toolkit.

    python -m vot_workspace.demo DIR [--frames N] [--size W H] [--sequences NAME ...]

writes DIR/vot2018 (reset-based evaluation, rotated boxes) and DIR/vot2020 (multi-start evaluation, masks). Objects cut
from photographs move over other photographs: they turn, scale, bend, pass behind things and beside their like.
Masks and boxes are exact, because they are what was drawn. The same arguments always give the same files, and called
again with them, nothing changes. With other arguments the sequences are drawn anew, unless there are results on them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vot_workspace.configuration import SEQUENCES, write_workspace
from vot_workspace.scenes import CUT_OUT_SIZE, CutOut, background, cut_out
from vot_workspace.writer import Annotated, WorkspaceError, write_sequence

LARGEST = (640, 480)  # size that every background covers, pixels
FORMS = {"vot2018": "polygon", "vot2020": "mask"}  # folder and stack -> region format


@dataclass(frozen=True)
class Script:
    """What happens in one sequence; lengths are shares of the image's height, times shares of the sequence."""

    target: str
    background: str
    size: float = 0.34  # of the target
    growth: float = 1.0  # factor of the size from first to last frame
    turn: float = 0.0  # degrees from first to last frame
    swing: float = 10.0  # degrees of a rocking motion
    path: tuple[float, float] = (0.28, 0.14)  # amplitudes of the motion in x and y
    cycles: tuple[float, float] = (1.0, 1.5)  # of the motion
    bend: float = 0.04  # amplitude of the elastic deformation, share of the target's size
    camera: float = 0.1  # drift of the background
    distractor: str | None = None  # another object that passes
    occluder: bool = False  # a post of another texture that the target passes behind
    dimming: float = 0.0  # loss of light toward the middle of the sequence


SCRIPTS = {
    "astronaut": Script("astronaut", "workshop", turn=25, path=(0.3, 0.12), occluder=True),
    "cat": Script("cat", "brick", size=0.3, growth=1.5, swing=18, bend=0.07, distractor="cat", dimming=0.35),
    "cup": Script("cup", "grass", size=0.36, growth=0.7, turn=-70, cycles=(1.5, 1.0), distractor="astronaut"),
    "motorcycle": Script("motorcycle", "launch", size=0.4, growth=1.3, path=(0.4, 0.08), bend=0.02, occluder=True),
}


@dataclass(frozen=True)
class Pose:
    """Where a cut-out is drawn."""

    center: tuple[float, float]  # image pixels
    size: float  # of its longer side, image pixels
    angle: float  # degrees
    phase: float  # of the elastic deformation, radians
    bend: float


def _draw(canvas: NDArray[np.float32], item: CutOut, pose: Pose) -> NDArray[np.float32]:
    """Draw a cut-out over a canvas H x W x 3, in place; returns its coverage H x W in [0, 1]."""
    height, width = canvas.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    scale = CUT_OUT_SIZE / pose.size
    cos, sin = np.cos(np.radians(pose.angle)) * scale, np.sin(np.radians(pose.angle)) * scale
    dx, dy = x - pose.center[0], y - pose.center[1]
    u, v = cos * dx + sin * dy, -sin * dx + cos * dy
    wave = 2 * np.pi / CUT_OUT_SIZE
    bend = pose.bend * CUT_OUT_SIZE
    u, v = u + bend * np.sin(wave * v + pose.phase), v + bend * np.sin(1.3 * wave * u + 2 * pose.phase)
    u = (u + (item.mask.shape[1] - 1) / 2).astype(np.float32)
    v = (v + (item.mask.shape[0] - 1) / 2).astype(np.float32)
    image, mask = item.image, item.mask.astype(np.float32)
    if scale > 1.5:  # drawn much smaller than stored: smooth first
        image = cv2.GaussianBlur(image, (0, 0), 0.45 * scale)  # type: ignore[assignment]
    color = cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    coverage = cv2.GaussianBlur(cv2.remap(mask, u, v, cv2.INTER_LINEAR), (3, 3), 0)
    canvas += (color - canvas) * coverage[..., None]
    return coverage  # type: ignore[return-value]


def _tight_box(mask: NDArray[np.bool_], angle: float) -> NDArray[np.float64]:
    """The tightest box of a mask at a given angle: 4 x 2."""
    rows, columns = np.nonzero(mask)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = cos * columns + sin * rows, -sin * columns + cos * rows
    a0, a1, b0, b1 = along.min(), along.max(), across.min(), across.max()
    corners = np.array([[a0, b0], [a1, b0], [a1, b1], [a0, b1]])
    return np.stack([cos * corners[:, 0] - sin * corners[:, 1], sin * corners[:, 0] + cos * corners[:, 1]], 1)


def render(name: str, script: Script, frames: int, size: tuple[int, int]) -> Iterator[Annotated]:
    """Draw a sequence frame by frame.

    Args:
        name: seeds the noise.
        script: what happens.
        frames: length.
        size: width and height, pixels.
    """
    width, height = size
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    scenery, target = background(script.background), cut_out(script.target)
    other = cut_out(script.distractor) if script.distractor else None
    post = background("gravel" if script.background != "gravel" else "brick")
    for index in range(frames):
        time = index / max(1, frames - 1)
        swing = np.sin(2 * np.pi * 2 * time)
        shift = script.camera * height * np.array([np.sin(2 * np.pi * time), np.cos(2 * np.pi * time) - 1])
        room = np.array([scenery.shape[1] - width, scenery.shape[0] - height])
        corner = np.clip(room / 2 + shift, 0, room)
        move = np.array([[1.0, 0.0, corner[0]], [0.0, 1.0, corner[1]]])
        canvas = cv2.warpAffine(
            scenery, move, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        ).astype(np.float32)
        phases = 2 * np.pi * np.array(script.cycles) * time
        x = width / 2 - script.path[0] * height * np.cos(phases[0])
        y = height / 2 + script.path[1] * height * np.sin(phases[1])
        pixels = script.size * height * script.growth**time
        if other is not None:
            place = (width * (0.9 - 0.8 * time), height * (0.2 + 0.06 * swing))
            _draw(canvas, other, Pose(place, 0.8 * script.size * height, -8 * swing, 1.0 + 4 * time, script.bend))
        angle = script.turn * time + script.swing * swing
        coverage = _draw(canvas, target, Pose((x, y), pixels, angle, 2 * np.pi * time, script.bend))
        whole = coverage > 0.5
        visible = whole.copy()
        if script.occluder:
            left, right = int(0.52 * width), int(0.52 * width + 0.3 * pixels)
            canvas[:, left:right] = post[:height, left:right]
            visible[:, left:right] = False
        light = 1.0 - script.dimming * np.sin(np.pi * time)
        canvas = canvas * light + rng.normal(0.0, 3.0, canvas.shape)
        image = np.clip(canvas, 0, 255).astype(np.uint8)
        yield Annotated(image, visible, _tight_box(whole, angle))


def write_demo(directory: Path, *, names: list[str], frames: int, size: tuple[int, int], quiet: bool = False) -> None:
    """Write both workspaces. Sequences that are there as they would be drawn stay, and all results do.

    Args:
        directory: where to.
        names: of sequences, keys of SCRIPTS.
        frames: length of every sequence.
        size: width and height, pixels.
        quiet: print nothing.

    Raises:
        WorkspaceError: there are results on a sequence that would change, or a folder is another workspace. Nothing was
            changed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".drawing_", dir=directory) as scratch:
        changed = []
        for form, kind in FORMS.items():
            for name in names:
                drawn, folder = Path(scratch, form, name), directory / form / SEQUENCES / name
                write_sequence(drawn, render(name, SCRIPTS[name], frames, size), kind=kind)
                if not _is_there(drawn, folder):
                    _check_no_results(directory / form, name)
                    changed.append((form, name))
        for form in FORMS:
            write_workspace(directory / form, stack=f"demo_{form}.yaml", sequences=names)
        for form, name in changed:
            # what the toolkit has computed of the sequences, by their names alone
            shutil.rmtree(directory / form / "cache", ignore_errors=True)
            _replace(Path(scratch, form, name), directory / form / SEQUENCES / name)
    if not quiet:
        for form in FORMS:
            for name in names:
                what = "wrote" if (form, name) in changed else "there already:"
                print(f"{what} {directory / form / SEQUENCES / name} ({frames} frames)")


def _is_there(drawn: Path, folder: Path) -> bool:
    """Whether a folder holds what was drawn, file by file, and no other images."""
    found = {path.relative_to(folder) for path in folder.glob("color/*")}
    new = {path.relative_to(drawn): path for path in drawn.rglob("*") if path.is_file()}
    return found == {path for path in new if len(path.parts) > 1} and all(
        (folder / path).is_file() and (folder / path).read_bytes() == file.read_bytes() for path, file in new.items()
    )


def _check_no_results(workspace: Path, name: str) -> None:
    """Raises WorkspaceError where a tracker has results on a sequence, which would be scored on another one."""
    results = workspace / "results"  # TRACKER/EXPERIMENT/SEQUENCE/
    if any(path.is_file() for path in results.glob(f"*/*/{name}/*")):
        raise WorkspaceError(
            f"'{workspace}' has results on the sequence '{name}', which would change; name another folder, or delete "
            f"'{results}' first"
        )


def _replace(drawn: Path, folder: Path) -> None:
    """Move what was drawn to its place; other files there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in drawn.iterdir():
        target = folder / path.name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(path, target)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vot_workspace.demo", description="Generate the demo workspaces.")
    parser.add_argument("directory", type=Path, help="folder for the workspaces vot2018 and vot2020")
    parser.add_argument("--frames", type=int, default=45, help="length of each sequence (default: 45)")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("W", "H"), help="pixels")
    parser.add_argument("--sequences", nargs="+", choices=sorted(SCRIPTS), default=sorted(SCRIPTS))
    options = parser.parse_args(arguments)
    width, height = options.size
    if options.frames < 2 or min(width, height) < 64 or width > LARGEST[0] or height > LARGEST[1]:
        parser.error(f"give at least 2 frames of 64 x 64 to {LARGEST[0]} x {LARGEST[1]} pixels")
    try:
        write_demo(options.directory, names=options.sequences, frames=options.frames, size=(width, height))
    except (WorkspaceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
