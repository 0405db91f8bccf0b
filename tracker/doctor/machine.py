"""PyTorch, the device, and the arithmetic that is used on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tracker.doctor.finding import Finding, Surroundings, installed, load, numbers, pip, told
from tracker.settings import Settings, SettingsError, complaints, from_environment

LEAST_TORCH = "2.6"
DRIVER = Path("/proc/driver/nvidia/version")  # Linux shows NVIDIA's driver there


def settings(surroundings: Surroundings) -> Iterator[Finding]:
    """The variables DMB_... of the environment."""
    notes = complaints(surroundings.environ)
    for note in notes:
        yield Finding("settings", "note", note, f"unset {note.split()[0]}")
    try:
        from_environment(surroundings.environ)
    except SettingsError as error:
        yield Finding("settings", "problem", str(error), f"unset {str(error).split()[0]}")
        return
    given = sorted(f"{name}={text}" for name, text in surroundings.environ.items() if name.startswith("DMB_"))
    if not notes:
        yield Finding("settings", "ok", ", ".join(given) or "none in the environment: the defaults")


def settings_of(environ: Mapping[str, str]) -> Settings:
    """The settings, or the default ones where they are not allowed (which is a finding of its own)."""
    try:
        return from_environment(environ)
    except SettingsError:
        return Settings()


def torch(surroundings: Surroundings) -> Iterator[Finding]:
    """PyTorch, the device and its arithmetic."""
    version = installed("torch")
    try:
        module = load("torch")
        version = str(module.__version__)
    except Exception as error:
        if version is None:
            yield Finding("torch", "problem", "is not installed", pip(f"torch>={LEAST_TORCH}"))
        else:
            again = pip("--force-reinstall", f"torch>={LEAST_TORCH}")
            yield Finding("torch", "problem", f"{version} cannot be imported ({told(error)})", again)
        return
    if numbers(version) < numbers(LEAST_TORCH):
        text = f"{version} is too old; DMB needs {LEAST_TORCH}"
        yield Finding("torch", "problem", text, pip("--upgrade", f"torch>={LEAST_TORCH}"))
        return
    yield Finding("torch", "ok", f"{version}, {module.get_num_threads()} CPU threads")
    yield from _device(module, settings_of(surroundings.environ))


def _device(module: Any, chosen: Settings) -> Iterator[Finding]:
    """Is the device there, does it compute, and in which arithmetic?"""
    from tracker.engine.engine import cpu_has_bfloat16, resolve_device, resolve_precision
    from tracker.errors import DeviceError

    try:
        device = resolve_device(chosen.device)
        (module.ones(2, device=device) * 2).sum().item()
        dtype = str(resolve_precision(chosen.precision, device)).removeprefix("torch.")
    except DeviceError as error:
        yield Finding("device", "problem", f"DMB_DEVICE: {error}", "unset DMB_DEVICE")
        return
    except RuntimeError as error:
        text = f"{chosen.device} does not compute ({told(error)}); DMB_DEVICE=cpu does without"
        yield Finding("device", "problem", text, pip("--force-reinstall", f"torch>={LEAST_TORCH}"))
        return
    if device.type == "cuda":
        name = module.cuda.get_device_properties(device).name
        yield Finding("device", "ok", f"{device}, {name} (CUDA {module.version.cuda}), {dtype}")
        return
    hidden = chosen.device == "auto" and (DRIVER.exists() or shutil.which("nvidia-smi") is not None)
    if hidden:
        kind = "CPUs only" if module.version.cuda is None else f"CUDA {module.version.cuda}"
        text = f"cpu, {dtype}: an NVIDIA driver is here, but this PyTorch (built for {kind}) finds no GPU"
        yield Finding("device", "note", text, pip("--force-reinstall", f"torch>={LEAST_TORCH}"))
    elif dtype == "bfloat16" and not cpu_has_bfloat16():
        text = "DMB_PRECISION is bfloat16, which this CPU only emulates: many times slower than float32"
        yield Finding("device", "note", text, "unset DMB_PRECISION")
    elif dtype == "float32" and not cpu_has_bfloat16():
        text = "cpu, float32, which is slower: this CPU does not multiply bfloat16 in hardware (AVX512-BF16 or AMX)"
        yield Finding("device", "note", text)
    else:
        yield Finding("device", "ok", f"cpu, {dtype}")
