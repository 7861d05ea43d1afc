"""What the benchmarks have in common."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "bench"  # for venvs, corpora and lakes, unless told otherwise


def build():
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    return TARGET / "release" / "trailq"


def venv(path, packages):
    """A virtual environment that has these packages, and maybe more."""
    python = path / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", path], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True)
    return python


def generated(trailq, corpus, events, *options):
    """A corpus without digests, made if it is not there."""
    if not corpus.exists():
        command = [trailq, "generate", "--events", str(events), "--no-digests", *options, "--out", corpus]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return corpus


def ingested(trailq, corpus):
    """The lake of a corpus, made beside it if it is not there."""
    lake = corpus.with_name(f"{corpus.name}-lake")
    if not lake.exists():
        subprocess.run([trailq, "ingest", "--lake", lake, corpus], check=True, stdout=subprocess.DEVNULL)
    return lake


def run(command, text="", **environment):
    """Runs a command: what it printed, and the CPU and wall-clock seconds of its process, start included."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRAILQ_")} | environment
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [str(part) for part in command], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        process.stdin.write(text)
        process.stdin.close()
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            errors.seek(0)
            sys.exit(f"failed: {' '.join(map(str, command))}\n{errors.read()}")
    return printed, {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall}
