#!/usr/bin/env python3
"""What pruning saves: the same questions on one lake, with it and without.

    python3 benches/pruning.py                    make a lake of 30 days, ask, print
    python3 benches/pruning.py --lake DIR --day 2026-03-15

`TRAILQ_BENCH_NO_PRUNING`, which only this benchmark sets, keeps trailq from adding what conditions imply;
what DataFusion prunes by itself it prunes in both. The answers of the two are compared.
"""

import argparse
import datetime
import os
import re
import statistics
import sys
from pathlib import Path

import common


def questions(day):
    """One day of thirty, and rare members, in the words that people use; of a pair, the second cannot be pruned."""
    date = datetime.date.fromisoformat(day)
    after = date + datetime.timedelta(days=1)
    y, m, d = f"{date:%Y}", f"{date:%m}", f"{date:%d}"
    return {
        "year, month, day": f"year = '{y}' AND month = '{m}' AND day = '{d}'",
        '"timestamp"': f"\"timestamp\" = '{date:%Y/%m/%d}'",
        "dt between": f"dt BETWEEN '{date}' AND '{date}'",
        "concat(year, month, day)": f"concat(year, month, day) = '{date:%Y%m%d}'",
        "eventtime as text": f"eventtime >= '{date}T00:00:00Z' AND eventtime < '{after}T00:00:00Z'",
        "substr(eventtime, 1, 10)": f"substr(eventtime, 1, 10) = '{date}'",
        "from_iso8601_timestamp": f"from_iso8601_timestamp(eventtime) >= TIMESTAMP '{date} 00:00:00 UTC' "
        f"AND from_iso8601_timestamp(eventtime) < TIMESTAMP '{after} 00:00:00 UTC'",
        "date_trunc": f"date_trunc('day', from_iso8601_timestamp(eventtime)) = TIMESTAMP '{date} 00:00:00 UTC'",
        "date(…)": f"date(from_iso8601_timestamp(eventtime)) = DATE '{date}'",
        "lower(eventname)": "lower(eventname) = 'stoplogging'",
        "an access key": (
            "useridentity.accesskeyid = 'AKIANOSUCHKEY0000000'",
            "concat(useridentity.accesskeyid, '') = 'AKIANOSUCHKEY0000000'",
        ),
        "an arn": (
            "useridentity.arn LIKE 'arn:aws:iam::000000000000:user/nobody%'",
            "concat(useridentity.arn, '') LIKE 'arn:aws:iam::000000000000:user/nobody%'",
        ),
    }


def main():
    args = arguments()
    trailq = args.trailq or common.build()
    lake = args.lake or common.ingested(trailq, common.generated(trailq, args.work / f"days-{args.events}", args.events, "--days", "30"))
    rows = []
    for name, condition in questions(args.day).items():
        pruned, unpruned = condition if isinstance(condition, tuple) else (condition, condition)
        sql = {pruning: question(pruned if pruning else unpruned) for pruning in (True, False)}
        runs = {True: [], False: []}
        for _ in range(args.repeat):
            for pruning in (True, False):  # in turn, so that a slow minute hits both
                runs[pruning].append(ask(trailq, lake, sql[pruning], pruning))
        answers = {run["answer"] for both in runs.values() for run in both}
        if len(answers) > 1:
            sys.exit(f"the answers differ: {condition}")
        read = {pruning: ask(trailq, lake, f"EXPLAIN ANALYZE {sql[pruning]}", pruning)["answer"] for pruning in runs}
        cpu = {pruning: statistics.median(run["cpu"] for run in runs[pruning]) for pruning in runs}
        rows.append((name, cpu, {pruning: figures(text) for pruning, text in read.items()}))
    print(markdown(rows))


def question(condition):
    return f"SELECT eventname, count(*) AS n FROM cloudtrail_logs WHERE {condition} GROUP BY eventname ORDER BY 1"


def ask(trailq, lake, sql, pruning):
    without = {} if pruning else {"TRAILQ_BENCH_NO_PRUNING": "1"}
    answer, took = common.run([trailq, "sql", "--lake", lake, "--format", "ndjson", sql], **without)
    return {"answer": answer, **took}


def figures(plan):
    """Files and bytes that the scan read, of an EXPLAIN ANALYZE."""
    files = re.search(r"files=(\d+) of (\d+)", plan)
    scanned = re.search(r"bytes_scanned=([0-9.]+) ?([KMG]?)", plan)
    scale = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}
    size = float(scanned[1]) * scale[scanned[2]] if scanned else 0.0
    return {"files": int(files[1]), "of": int(files[2]), "bytes": size}


def markdown(rows):
    lines = [
        "| condition | files read, of all | without | MB read | without | CPU | without | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, cpu, read in rows:
        on, off = read[True], read[False]
        lines.append(
            f"| {name} | {on['files']} of {on['of']} | {off['files']} | {on['bytes'] / 1e6:.2f} | {off['bytes'] / 1e6:.2f} "
            f"| {cpu[True]:.2f} s | {cpu[False]:.2f} s | {cpu[False] / cpu[True]:.1f} |"
        )
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=600_000, help="events of the lake to make [600000]")
    parser.add_argument("--lake", type=Path, help="a lake to use instead")
    parser.add_argument("--day", default="2026-03-15", help="the day to ask for [2026-03-15]")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each [3]")
    parser.add_argument("--trailq", type=Path, help="a binary; otherwise `cargo build --release` makes it")
    parser.add_argument("--work", type=Path, default=common.WORK, help="for the corpus and the lake")
    return parser.parse_args()


if __name__ == "__main__":
    main()
