"""What the figures were taken on."""

import os
import platform
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

_PARTS = ("uvicorn", "uvloop", "httptools", "psycopg", "fastapi")


def describe() -> str:
    """One sentence: processor, interpreter and, as far as it tells, how it was built, and the libraries that matter."""
    told = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    built = "--enable-optimizations, " if told else ""
    parts = ", ".join(f"{part} {version(part)}" for part in _PARTS)
    python = f"Python {platform.python_version()} ({built}{sys.implementation.name}, {platform.python_compiler()})"
    return f"{os.cpu_count()} cores of {_processor()}, {platform.system()} {platform.release()}; {python}; {parts}."


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
