"""The benchmarks stay alive: the quickest of them runs to its end, over the servers and the load that all use."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

_ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the benchmarks need a core for the server alone")
def test_a_quick_benchmark_writes_its_tables(tmp_path: Path) -> None:
    """`make bench ARGS="protocol --quick"`: tables for a terminal, for a program and for the notes."""
    figures, notes = tmp_path / "figures.json", tmp_path / "notes.md"
    options = ["protocol", "--quick", "--json", str(figures), "--markdown", str(notes)]
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", "benchmarks", *options],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    protocol, targets = orjson.loads(figures.read_bytes())["tables"]
    assert len(protocol["rows"]) == 5
    assert all(row["ours, requests/s"] > 0 and row["ours, CPU µs"] > 0 for row in protocol["rows"])
    assert targets["rows"] == []
    assert f"### {protocol['title']}" in notes.read_text(encoding="utf-8")
