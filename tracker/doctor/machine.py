"""PyTorch, and what it can compute with here."""

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
    yield _cuda(module, surroundings.environ)
    yield from _wanted(surroundings.environ)
    yield _arithmetic(module, surroundings.environ)


def _cuda(module: Any, environ: Mapping[str, str]) -> Finding:
    """Is a CUDA device there, and does it compute?"""
    if module.cuda.is_available():
        names = []
        for number in range(module.cuda.device_count()):
            properties = module.cuda.get_device_properties(number)
            names.append(f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
        try:
            (module.ones(2, device="cuda") * 2).sum().item()
        except RuntimeError as error:
            text = f"{'; '.join(names)}: does not compute ({told(error)}); DMB_DEVICE=cpu does without"
            return Finding("cuda", "problem", text, pip("--force-reinstall", f"torch>={LEAST_TORCH}"))
        return Finding("cuda", "ok", f"{'; '.join(names)} (CUDA {module.version.cuda})")
    driver = DRIVER.exists() or shutil.which("nvidia-smi") is not None
    if not driver:
        return Finding("cuda", "ok", "no NVIDIA driver: DMB runs on the CPU")
    if module.version.cuda is None:
        text = "an NVIDIA driver is here, but this PyTorch is built for CPUs only: DMB runs on the CPU"
        return Finding("cuda", "note", text, pip("--force-reinstall", f"torch>={LEAST_TORCH}"))
    if environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return Finding("cuda", "note", "CUDA_VISIBLE_DEVICES hides all devices", "unset CUDA_VISIBLE_DEVICES")
    text = (
        f"an NVIDIA driver is here, but PyTorch (built for CUDA {module.version.cuda}) finds no device: the driver is "
        "too old for it, or does not run"
    )
    return Finding("cuda", "problem", text, "nvidia-smi")


def _wanted(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Is the device there that DMB_DEVICE names?"""
    from tracker.engine import DeviceError, resolve_device

    try:
        resolve_device(settings_of(environ).device)
    except DeviceError as error:
        yield Finding("device", "problem", f"DMB_DEVICE: {error}", "unset DMB_DEVICE")


def _arithmetic(module: Any, environ: Mapping[str, str]) -> Finding:
    """Which arithmetic will be used, and does it run in hardware?"""
    from tracker.engine import cpu_has_bfloat16

    chosen = settings_of(environ)
    gpu = module.cuda.is_available() and chosen.device != "cpu"
    hardware = cpu_has_bfloat16()
    asked, remedy = f"DMB_PRECISION is {chosen.precision}", "unset DMB_PRECISION"
    if chosen.precision == "float32" and (gpu or hardware):
        place = "the GPU computes" if gpu else "this CPU computes"
        return Finding("precision", "note", f"{asked}; {place} faster in half precision", remedy)
    if gpu:
        kind = "half precision" if chosen.precision == "auto" else chosen.precision
        return Finding("precision", "ok", f"{kind} on the GPU")
    if chosen.precision == "float16":
        text = f"{asked}, which is for GPUs: on a CPU it may be many times slower, and its numbers may overflow"
        return Finding("precision", "note", text, remedy)
    if hardware:
        return Finding("precision", "ok", "this CPU has bfloat16 in hardware, and DMB uses it")
    if chosen.precision == "bfloat16":
        text = f"{asked}, which this CPU only emulates: many times slower than float32"
        return Finding("precision", "note", text, remedy)
    text = "this CPU does not multiply bfloat16 in hardware (AVX512-BF16 or AMX): DMB uses float32, which is slower"
    return Finding("precision", "note", text)
