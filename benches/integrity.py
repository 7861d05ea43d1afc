#!/usr/bin/env python3
"""What it costs to ask for `integrity`: the CPU time of queries without it and with it.

    python3 benches/integrity.py                  make logs, a lake of a million events of 3,000 log files and one
                                                  of 50,000, optimize them, measure, print
    python3 benches/integrity.py --lake DIR       on a lake that exists, as it is
    python3 benches/integrity.py --not-optimized  on lakes as they are ingested: small files, nothing settled

Each query runs in a process of its own, so what is loaded for `integrity` is loaded each time. The two
forms of a query run in turn. Only the standard library is needed.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import common

BUCKET = "s3://example-books-cloudtrail"

# What `trailq generate` makes: about so many log files, of about 330 events and of about 20.
SHAPES = {
    "3,000": ["--accounts", "1", "--regions", "us-east-1", "--days", "11"],
    "50,000": ["--accounts", "2", "--regions", "us-east-1,eu-west-1,eu-central-1", "--days", "30"],
}

# A query without, and with; `{}` is where they differ. The answers have as many lines, unless a state stands for
# another column.
QUERIES = {
    "who, when, from where: all events": (
        "SELECT useridentity.arn, sourceipaddress, count(*) AS n, max(eventtime) AS latest"
        " FROM cloudtrail_logs WHERE eventname LIKE '%e%' {} GROUP BY 1, 2",
        "", "AND integrity = 'verified'",
    ),
    "calls by name, a column more": (
        "SELECT eventname, errorcode {}, count(*) AS n, count(DISTINCT useridentity.arn) AS who"
        " FROM cloudtrail_logs GROUP BY ALL",
        "", ", integrity",
    ),
    "one day": (
        "SELECT eventname, useridentity.arn, sourceipaddress, count(*) AS n FROM cloudtrail_logs"
        " WHERE event_date = DATE '2026-03-10' {} GROUP BY 1, 2, 3",
        "", "AND integrity = 'verified'",
    ),
    "a needle": (
        "SELECT eventtime, eventname, requestparameters FROM cloudtrail_logs"
        " WHERE eventname = 'CreateAccessKey' {} ORDER BY eventtime LIMIT 100",
        "", "AND integrity = 'verified'",
    ),
    "the newest hundred, a column more": (
        "SELECT eventtime, eventname, useridentity, requestparameters {} FROM cloudtrail_logs"
        " ORDER BY eventtime DESC LIMIT 100",
        "", ", integrity",
    ),
    "count by address / by state": (
        "SELECT {}, count(*) AS n FROM cloudtrail_logs GROUP BY 1", "sourceipaddress", "integrity",
    ),
    "count by region / by state": (
        "SELECT {}, count(*) AS n FROM cloudtrail_logs GROUP BY 1", "awsregion", "integrity",
    ),
}


def main():
    args = arguments()
    trailq = args.trailq or common.build()
    print(f"{platform.platform()}, {os.cpu_count()} cores, {args.repeat} runs of each, median")
    if args.lake:
        return measure(args, trailq, args.lake)
    for shape in args.log_files or SHAPES:
        lake = made(trailq, args.events, shape, args.work, args.not_optimized)
        if not args.not_optimized:
            subprocess.run([trailq, "lake", "optimize", "--lake", lake], check=True)
        measure(args, trailq, lake)


def measure(args, trailq, lake):
    states = ask(trailq, lake, "SELECT integrity, count(*) AS n FROM log_files GROUP BY 1")[1]
    events = ask(trailq, lake, "SELECT count(*) AS n FROM events")[1].split()[-1]
    print(f"\n{int(events):,} events; log files: {', '.join(states.split()[1:])}\n")
    print("| query | CPU ms without | with | ratio | wall ms without | with | ratio |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, (query, without, asked) in QUERIES.items():
        runs = {False: [], True: []}
        answers = {}
        for _ in range(args.repeat + 1):
            for asks in (False, True):
                usage, answer = ask(trailq, lake, query.format(asked if asks else without))
                runs[asks].append(usage)
                answers[asks] = len(answer.splitlines())
        if answers[False] != answers[True] and not without:
            sys.exit(f"{name}: {answers[False]} lines without, {answers[True]} with: not the same question")
        # The first of each warms the page cache.
        cpu, wall = ({asks: statistics.median(run[which] for run in runs[asks][1:]) for asks in runs} for which in (0, 1))
        ratios = [figures[True] / figures[False] for figures in (cpu, wall)]
        print(f"| {name} | {cpu[False]:.0f} | {cpu[True]:.0f} | {ratios[0]:.2f} "
              f"| {wall[False]:.0f} | {wall[True]:.0f} | {ratios[1]:.2f} |", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the lake to make [1000000]")
    parser.add_argument("--lake", help="a lake to use instead")
    parser.add_argument("--log-files", choices=SHAPES, action="append", help="about so many log files [both]")
    parser.add_argument("--not-optimized", action="store_true", help="leave the lake as it was ingested")
    parser.add_argument("--repeat", type=int, default=7, help="runs of each form of each query [7]")
    parser.add_argument("--trailq", type=Path, help="a binary; otherwise `cargo build --release` makes it")
    parser.add_argument("--work", type=Path, default=common.WORK, help="for the logs and the lake")
    return parser.parse_args()


def made(trailq, events, shape, work, small):
    logs = work / f"signed-{events}-{shape.replace(',', '')}"
    # Of each kind one: a lake that was optimized once stays so.
    lake = work / f"{logs.name}-lake{'-small' if small else ''}"
    work.mkdir(parents=True, exist_ok=True)
    if not logs.exists():
        options = [*SHAPES[shape], "--events", str(events), "--out", logs]
        subprocess.run([trailq, "generate", *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([trailq, "ingest", logs, "--as", BUCKET, "--lake", lake], check=True, stdout=subprocess.DEVNULL)
    return str(lake)


def ask(trailq, lake, sql):
    """CPU and wall-clock time in milliseconds, and the answer."""
    answer, took = common.run([trailq, "sql", "--lake", lake, "--format", "csv", sql])
    return (took["cpu"] * 1000, took["wall"] * 1000), answer


if __name__ == "__main__":
    main()
