#!/usr/bin/env python3
"""Members of JSON text: trailq's json_extract_scalar and DuckDB's json_extract_string on the same Parquet files.

    python3 benches/json_extract.py               make a lake of 1,000,000 events and a venv with DuckDB, ask, print
    python3 benches/json_extract.py --lake DIR

Needs Python 3.9, a package index for DuckDB, and Linux.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

import common

DUCKDB = "import duckdb, json, sys; files, threads, sql = json.load(sys.stdin); duckdb.execute(f'SET threads = {threads}'); duckdb.execute('SET enable_progress_bar = false'); print(json.dumps(duckdb.execute(sql, [files]).fetchall()))"

# A member that comes early, one that is nested, one in an array, one that is nowhere, and four of one text.
QUESTIONS = {
    "one member": ["$.bucketName"],
    "a nested one": ["$.encryptionContext.SecretARN"],
    "in an array": ["$.instancesSet.items[0].instanceId"],
    "absent": ["$.nothing.here"],
    "four members": ["$.bucketName", "$.key", "$.userName", "$.roleArn"],
}


def main():
    args = arguments()
    trailq = args.trailq or common.build()
    lake = args.lake or common.ingested(trailq, common.generated(trailq, args.work / f"corpus-{args.events}", args.events))
    python = common.venv(args.work / "venv", ["duckdb"])
    files = sorted(str(file) for file in lake.rglob("*.parquet") if "events" in file.parts)
    scan = [measure(trailq, python, lake, files, None, args) for _ in range(args.repeat)]
    rows = []
    for name, paths in QUESTIONS.items():
        runs = [measure(trailq, python, lake, files, paths, args) for _ in range(args.repeat)]
        rows.append((name, middle(runs), middle(scan)))
    print(markdown(rows, scan[0]["answer"]))


def middle(runs):
    return {peer: statistics.median(run[peer] for run in runs) for peer in ("trailq", "duckdb")}


def measure(trailq, python, lake, files, paths, args):
    """CPU seconds of one process each, in turn; the answers have to be the same."""
    sql = question("json_extract_scalar", paths, "cloudtrail_logs")
    own, ours = common.run([trailq, "sql", "--lake", lake, "--format", "ndjson", sql])
    peer_input = json.dumps([files, args.threads, question("json_extract_string", paths, "read_parquet(?, union_by_name = true)")])
    peer, peers = common.run([python, "-c", DUCKDB], peer_input)
    answer, theirs = list(json.loads(own).values()), json.loads(peer)[0]
    if [number or 0 for number in answer] != [number or 0 for number in theirs]:
        sys.exit(f"the answers differ for {paths}: {answer}, {theirs}")
    return {"answer": answer, "trailq": ours["cpu"], "duckdb": peers["cpu"]}


def question(function, paths, table):
    texts = ["requestparameters"] if paths is None else [f"{function}(requestparameters, '{path}')" for path in paths]
    columns = [f"count({text}) AS n{place}, CAST(sum(length({text})) AS bigint) AS length{place}" for place, text in enumerate(texts)]
    return f"SELECT {', '.join(columns)} FROM {table}"


def markdown(rows, scanned):
    count, length = scanned
    lines = [
        f"{count:,} texts, {length / 1e6:,.0f} MB. CPU seconds of the whole process; in brackets without start, scan and count.",
        "",
        "| | trailq | DuckDB | ratio | without the scan |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, cpu, scan in rows:
        net = {peer: max(cpu[peer] - scan[peer], 0.001) for peer in cpu}
        shown = {peer: f"{cpu[peer]:.2f} ({net[peer]:.2f})" for peer in cpu}
        lines.append(
            f"| {name} | {shown['trailq']} | {shown['duckdb']} | {cpu['duckdb'] / cpu['trailq']:.2f} | {net['duckdb'] / net['trailq']:.2f} |"
        )
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the lake to make [1000000]")
    parser.add_argument("--lake", type=Path, help="a lake to use instead")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each [3]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of DuckDB [all cores]")
    parser.add_argument("--trailq", type=Path, help="a binary; otherwise `cargo build --release` makes it")
    parser.add_argument("--work", type=Path, default=common.WORK, help="for the venv, the corpus and the lake")
    return parser.parse_args()


if __name__ == "__main__":
    main()
