#!/usr/bin/env python3
"""trailq and its peers on one job: CloudTrail's json.gz files to Parquet.

    python3 benches/ingest.py                     make a corpus, a venv with the peers, measure, print
    python3 benches/ingest.py --corpus DIR        on log files that exist

Needs Python 3.9 and, for the venv, a package index. See README.md for what is compared and what is not.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import common
import peers

HERE = Path(__file__).resolve().parent
PACKAGES = ["duckdb", "polars", "pyarrow", "chdb"]
PEERS = ["trailq", "clickhouse", "duckdb", "polars", "pyarrow"]
QUIET = 0.05  # of the machine, taken by other processes
CHECKS = ["rows", "event ids", "access keys", "request parameters"]


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    trailq = args.trailq or common.build()
    python = common.venv(args.work / "venv", PACKAGES)
    corpus = args.corpus or common.generated(trailq, args.work / f"corpus-{args.events}", args.events)
    files = [Path(file) for file in peers.log_files(corpus)]
    if not files:
        sys.exit(f"no log files in {corpus}")
    gz_bytes = sum(len(file.read_bytes()) for file in files)  # also warms the page cache
    print(f"{len(files)} log files, {gz_bytes / 1e6:.1f} MB, {args.repeat} runs each, {args.threads} threads", file=sys.stderr)
    runs = {name: [] for name in args.only}
    report = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(args.threads),
        "versions": versions(trailq, python),
        "corpus": {"files": len(files), "gz_bytes": gz_bytes, "json_bytes": json_bytes(files)},
        "runs": runs,
    }
    for repetition in range(args.repeat):
        for name in args.only:  # in turn, so that a slow minute of the machine hits all of them
            run = undisturbed(name, trailq, python, corpus, args)
            runs[name].append(run)
            print(f"{repetition + 1}: {name:11}{told(run)}", file=sys.stderr)
            if args.json:
                args.json.write_text(json.dumps(report, indent=1))
    print(markdown(report))
    if len({tuple(run["checks"].items()) for all_runs in runs.values() for run in all_runs}) > 1:
        sys.exit("the outputs differ, see above: the times can't be compared")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="events of the corpus to make [200000]")
    parser.add_argument("--corpus", type=Path, help="a directory of log files to use instead")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each [3]")
    parser.add_argument("--attempts", type=int, default=4, help="most attempts at a run that others disturb [4]")
    parser.add_argument("--patience", type=int, default=60, help="seconds to wait for a quiet machine [60]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of each [all cores]")
    parser.add_argument("--only", type=lambda text: text.split(","), default=PEERS, help=",".join(PEERS))
    parser.add_argument("--trailq", type=Path, help="a binary; otherwise `cargo build --release` makes it")
    parser.add_argument("--work", type=Path, default=common.WORK, help="for the venv, the corpus and the outputs")
    parser.add_argument("--json", type=Path, help="write every run there")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peers.PEERS[args.peer](args.corpus, args.out, args.threads)
        sys.exit()
    unknown = set(args.only) - set(PEERS)
    if unknown:
        parser.error(f"no such peer: {', '.join(unknown)}")
    args.work = args.work.resolve()
    return args


def undisturbed(name, trailq, python, corpus, args):
    """Measures when the machine is quiet, and again if other processes took a twentieth of it meanwhile."""
    for _ in range(args.attempts):
        wait_for_quiet(args.patience)
        run = measure(name, trailq, python, corpus, args)
        if run["others"] <= QUIET:
            break
        print(f"   disturbed: {name:11}{told(run)}", file=sys.stderr)
    return run


def wait_for_quiet(patience):
    """Returns when next to nothing has run for ten seconds, or when patience ends."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        busy = busy_seconds()
        time.sleep(10)
        if (busy_seconds() - busy) / 10 / os.cpu_count() <= QUIET:
            return


def told(run):
    return (
        f"{run['cpu']:7.1f} s CPU {run['wall']:7.1f} s {run['rss'] / 1e6:7.0f} MB"
        f"   {run['others']:.0%} of the machine taken by others"
    )


def measure(name, trailq, python, corpus, args):
    """Runs one peer once, in a process of its own."""
    out = args.work / "out" / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if name == "trailq":
        command = [trailq, "ingest", corpus, "--lake", out, "--threads", str(args.threads)]
    else:
        command = [python, HERE / "ingest.py", "--peer", name, "--corpus", corpus, "--out", out, "--threads", str(args.threads)]
    with open(args.work / f"{name}.log", "w") as log:
        busy, started = busy_seconds(), time.monotonic()
        child = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
        busy, wall = busy_seconds() - busy, time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{name} ended with {child.returncode}:\n" + (args.work / f"{name}.log").read_text()[-3000:])
    parquet = [file for file in out.rglob("*.parquet") if "events" in file.parts or name != "trailq"]
    cpu = usage.ru_utime + usage.ru_stime
    run = {
        "cpu": cpu,
        "wall": wall,
        "rss": usage.ru_maxrss * 1024,
        "others": max(0.0, busy - cpu) / (wall * os.cpu_count()),
        "parquet_bytes": sum(file.stat().st_size for file in parquet),
        "checks": check(python, parquet),
    }
    shutil.rmtree(out)
    return run


def busy_seconds():
    """CPU seconds that all processes of the machine have taken since it started, stolen ones included."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def check(python, parquet):
    """Counts what the Parquet files hold: whoever leaves something out is not faster."""
    sql = """SELECT count(*), count(eventid), count(useridentity.accesskeyid), count(requestparameters)
             FROM read_parquet(?, union_by_name = true)"""
    program = f"import duckdb, json, sys; print(json.dumps(duckdb.execute({sql!r}, [json.load(sys.stdin)]).fetchone()))"
    names = json.dumps([str(file) for file in parquet])
    answer = subprocess.run([python, "-c", program], input=names, capture_output=True, text=True, check=True)
    return dict(zip(CHECKS, json.loads(answer.stdout)))


def json_bytes(files):
    import gzip

    return sum(len(gzip.decompress(file.read_bytes())) for file in files)


def machine(threads):
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{len(os.sched_getaffinity(0))} cores ({model}), {memory:.0f} GB, {threads} threads, {platform.system()}"


def versions(trailq, python):
    freeze = subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True)
    found = {package["name"]: package["version"] for package in json.loads(freeze.stdout)}
    own = subprocess.run([trailq, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    names = [*PACKAGES, "chdb-core"]
    return {"trailq": own, **{name: found[name] for name in names if name in found}, "Python": platform.python_version()}


def markdown(report):
    runs, corpus = report["runs"], report["corpus"]
    middle = lambda name, what: statistics.median(run[what] for run in runs[name])
    first = next(iter(runs))
    rows = next(iter(runs[first]))["checks"]["rows"]
    lines = [
        f"{report['date']}; {report['machine']}; " + ", ".join(f"{name} {version}" for name, version in report["versions"].items()) + ".",
        f"{rows:,} records in {corpus['files']:,} files, {corpus['gz_bytes'] / 1e6:,.0f} MB compressed, {corpus['json_bytes'] / 1e6:,.0f} MB of JSON.",
        f"Medians of {len(runs[first])} runs (lowest–highest); other processes took at most {max(run['others'] for each in runs.values() for run in each):.0%} of the machine meanwhile.",
        "",
        "| | CPU seconds | ratio | wall seconds | events/s | peak memory | Parquet |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in runs.items():
        spread = lambda what: f"{middle(name, what):.1f} ({min(run[what] for run in each):.1f}–{max(run[what] for run in each):.1f})"
        lines.append(
            f"| {name} | {spread('cpu')} | {middle(name, 'cpu') / middle(first, 'cpu'):.1f} | {spread('wall')} "
            f"| {rows / middle(name, 'wall'):,.0f} | {middle(name, 'rss') / 1e6:,.0f} MB | {middle(name, 'parquet_bytes') / 1e6:,.0f} MB |"
        )
    lines += ["", "| in the Parquet files | " + " | ".join(CHECKS) + " |", "|---|" + "---:|" * len(CHECKS)]
    lines += [f"| {name} | " + " | ".join(f"{each[0]['checks'][what]:,}" for what in CHECKS) + " |" for name, each in runs.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
