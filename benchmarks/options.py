"""What a run is asked to do, its progress, and the machine that it runs on."""

import os
import platform
import sys
import sysconfig
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

Amount = TypeVar("Amount", int, float)

_STARTED = time.monotonic()
_LIBRARIES = ("uvicorn", "uvloop", "httptools", "psycopg", "fastapi")


@dataclass(frozen=True, slots=True)
class Options:
    """A full run, or a quick one that only shows that everything still works."""

    quick: bool = False
    base: Path | None = None  # another checkout, whose servers are measured beside those of this one

    def scale(self, full: Amount, quick: Amount) -> Amount:
        """The amount for this kind of run."""
        return quick if self.quick else full

    @property
    def rounds(self) -> int:
        """Rounds in which all workloads take turns, so that a slow moment of the machine affects all of them."""
        return self.scale(5, 1)


def log_progress(text: str) -> None:
    """Write a line to standard error, with the seconds since the start."""
    sys.stderr.write(f"{time.monotonic() - _STARTED:6.0f} s  {text}\n")
    sys.stderr.flush()


def describe_machine() -> str:
    """One sentence: processor, kernel, interpreter with its build options, and library versions."""
    optimized = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    build = "--enable-optimizations, " if optimized else ""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    python = f"Python {platform.python_version()} ({build}{sys.implementation.name}, {platform.python_compiler()})"
    return f"{os.cpu_count()} cores of {_processor()}, {platform.system()} {platform.release()}; {python}; {libraries}."


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
