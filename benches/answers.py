#!/usr/bin/env python3
"""Ten questions of an incident to trailq, DuckDB and ClickHouse (chdb), on the same Parquet files in the same run.

    python3 benches/answers.py                     make a lake of 1,000,000 events and a venv with the peers, ask, print
    python3 benches/answers.py --events 10000000
    python3 benches/answers.py --events 10000000 --copies 10    each file of it ten times, which takes less time to make than 100 million
    python3 benches/answers.py --lake DIR          a lake that exists

Cold: a process of its own, its start included. Warm: what each further asking takes in a process that has answered before.
The answers have to be the same. Needs Python 3.9, a package index for the peers, and Linux.
"""

import argparse
import datetime
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path

import common
import ingest

HERE = Path(__file__).resolve().parent
PEERS = ["trailq", "duckdb", "clickhouse"]


def questions(known):
    """Of each question its name and the same query in three dialects, each with the columns in the same order."""

    def same(sql):
        return {peer: sql for peer in PEERS}

    def extract(column, member):
        return {
            "trailq": f"json_extract_scalar({column}, '$.{member}')",
            "duckdb": f"json_extract_string({column}, '$.{member}')",
            "clickhouse": f"JSONExtractString({column}, {', '.join(repr(part) for part in member.split('.'))})",
        }

    def with_member(sql, column, member):
        return {peer: sql.replace("{member}", text) for peer, text in extract(column, member).items()}

    day, after = known["day"], known["after"]
    return {
        "count by event name": same("SELECT eventname, count(*) AS n FROM {events} GROUP BY eventname ORDER BY n DESC, eventname LIMIT 20"),
        "who did what in a window": same(
            "SELECT eventtime, eventname, useridentity.arn AS arn, sourceipaddress, eventid FROM {events}"
            f" WHERE eventtime >= '{day}T06:00:00Z' AND eventtime < '{day}T08:00:00Z' AND useridentity.arn LIKE '%/{known['session']}%'"
            " ORDER BY eventtime, eventid LIMIT 200"
        ),
        "failed console logins": {
            peer: "SELECT useridentity.username AS name, sourceipaddress, count(*) AS n FROM {events}"
            f" WHERE eventname = 'ConsoleLogin' AND {member} = 'Failure' GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT 50"
            for peer, member in extract("responseelements", "ConsoleLogin").items()
        },
        "access denied by principal": same(
            "SELECT useridentity.arn AS arn, eventname, count(*) AS n FROM {events}"
            " WHERE errorcode IN ('AccessDenied', 'Client.UnauthorizedOperation') GROUP BY 1, 2 ORDER BY n DESC, arn, eventname LIMIT 50"
        ),
        "a bucket in requestparameters": with_member(
            "SELECT eventname, count(*) AS n, count(DISTINCT sourceipaddress) AS addresses FROM {events}"
            f" WHERE {{member}} = '{known['bucket']}' GROUP BY eventname ORDER BY n DESC, eventname",
            "requestparameters",
            "bucketName",
        ),
        "top addresses with distinct users": same(
            "SELECT sourceipaddress, count(*) AS n, count(DISTINCT useridentity.arn) AS users FROM {events}"
            " GROUP BY sourceipaddress ORDER BY n DESC, sourceipaddress LIMIT 20"
        ),
        "one eventID": same(f"SELECT eventtime, eventname, awsregion, requestparameters FROM {{events}} WHERE eventid = '{known['eventid']}'"),
        "timeline of one access key": same(
            "SELECT eventtime, eventname, sourceipaddress, errorcode, eventid FROM {events}"
            f" WHERE useridentity.accesskeyid = '{known['key']}' ORDER BY eventtime, eventid"
        ),
        "a substring over all JSON": same(
            "SELECT eventname, count(*) AS n FROM {events}"
            f" WHERE requestparameters LIKE '%{known['text']}%' OR responseelements LIKE '%{known['text']}%'"
            " GROUP BY eventname ORDER BY n DESC, eventname"
        ),
        "what assumed roles' keys did": with_member(
            "SELECT did.eventname AS eventname, count(*) AS n, count(DISTINCT took.arn) AS principals FROM"
            " (SELECT DISTINCT useridentity.arn AS arn, {member} AS accesskey FROM {events} WHERE eventname = 'AssumeRole') AS took"
            " JOIN (SELECT eventname, useridentity.accesskeyid AS accesskey FROM {events}) AS did ON took.accesskey = did.accesskey"
            " GROUP BY did.eventname ORDER BY n DESC, did.eventname LIMIT 20",
            "responseelements",
            "credentials.accessKeyId",
        ),
    }


LOOKUPS = ["one eventID", "timeline of one access key"]


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    trailq = args.trailq or common.build()
    python = common.venv(args.work / "venv", ingest.PACKAGES)
    lake = args.lake or made(trailq, args)
    files = sorted(str(file) for file in Path(lake).rglob("*.parquet") if "events" in file.parts and "_delta_log" not in file.parts)
    size = sum(Path(file).stat().st_size for file in files)
    known = examples(python, files)
    print(f"{known['events']:,} events, {len(files):,} files, {size / 1e6:,.0f} MB; looked for: {known}", file=sys.stderr)
    rows = []
    for name, dialects in questions(known).items():
        if args.only and args.only not in name:
            continue
        runs = {peer: [] for peer in PEERS}
        answers = {}
        for _ in range(args.repeat):
            for peer in PEERS:  # in turn, so that a slow minute of the machine hits all of them
                run, answers[peer] = ask(peer, dialects[peer], trailq, python, lake, files, args)
                runs[peer].append(run)
        same = len({json.dumps(answer) for answer in answers.values()}) == 1
        if not same:
            for peer, answer in answers.items():
                print(f"   {peer}: {json.dumps(answer)[:3000]}", file=sys.stderr)
            sys.exit(f"the answers differ: {name}")
        middle = {peer: {what: statistics.median(run[what] for run in each) for what in each[0]} for peer, each in runs.items()}
        rows.append((name, middle, len(answers["trailq"])))
        print("   " + line(*rows[-1]), file=sys.stderr, flush=True)
    print(heading(trailq, python, known, files, size, args))
    print(markdown(rows))
    print(lookups(trailq, lake, known, size))


def ask(peer, sql, trailq, python, lake, files, args):
    """Asks once in a process of its own, and some times more in another; CPU and wall-clock seconds of each."""
    cold, answer, _ = process(peer, sql, 1, trailq, python, lake, files, args)
    more, _, _ = process(peer, sql, 1 + args.further, trailq, python, lake, files, args)
    warm = {f"warm {what}": max(more[what] - cold[what], 0.0005 * args.further) / args.further for what in ("cpu", "wall")}
    return {**cold, **warm}, answer


def process(peer, sql, times, trailq, python, lake, files, args):
    env = {name: value for name, value in os.environ.items() if not name.startswith("TRAILQ_")}
    if peer == "trailq":
        script = (sql.replace("{events}", "cloudtrail_logs") + ";\n") * times
        command, text = [trailq, "sql", "--lake", lake, "--format", "ndjson"], script
    else:
        command = [python, HERE / "answers.py", "--peer", peer]
        text = json.dumps([files, args.threads, sql, times])
    started = time.perf_counter()
    child = subprocess.Popen([str(part) for part in command], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    child.stdin.write(text)
    child.stdin.close()
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    if status:
        sys.exit(f"failed: {peer}: {sql}")
    if peer == "trailq":
        lines = [list(json.loads(row).values()) for row in printed.splitlines()]
        answer = lines[: len(lines) // times]
    else:
        answer = json.loads(printed)
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "rss": usage.ru_maxrss * 1024}, answer, usage


def answer_as_peer(peer):
    """What a peer's process does: reads the question from standard input, answers it as often as asked, prints one answer."""
    files, threads, sql, times = json.load(sys.stdin)
    if peer == "duckdb":
        import duckdb

        duckdb.execute(f"SET threads = {threads}")
        duckdb.execute("SET enable_progress_bar = false")
        duckdb.execute("SET parquet_metadata_cache = true")
        listed = "[" + ", ".join("'" + file.replace("'", "''") + "'" for file in files) + "]"
        sql = sql.replace("{events}", f"read_parquet({listed}, hive_partitioning = true)")
        for _ in range(times):
            answer = [list(row) for row in duckdb.execute(sql).fetchall()]
    else:
        from chdb.session import Session

        session = Session()
        session.query(f"SET max_threads = {threads}")
        session.query("SET schema_inference_make_columns_nullable = 1")
        events = Path(files[0]).parent.parent
        sql = sql.replace("{events}", f"file('{events}/event_date=*/*.parquet', Parquet)")
        for _ in range(times):
            rows = str(session.query(sql, "JSONCompactEachRowWithNames")).splitlines()
        answer = [[int(cell) if isinstance(cell, str) and re.fullmatch(r"\d{1,12}", cell) and place else cell for place, cell in enumerate(json.loads(row))] for row in rows[1:]]
    print(json.dumps(answer))


def examples(python, files):
    """What to look for: things that occur, taken from the middle of the lake."""
    program = """
import duckdb, json, sys
files = json.load(sys.stdin)
duckdb.execute("SET enable_progress_bar = false")
events = "read_parquet(" + repr(files) + ")"
one = lambda sql: duckdb.execute(sql.replace("EVENTS", events)).fetchone()
known = dict(zip(["events", "day", "after"], one(
    "SELECT count(*), CAST(CAST(quantile_cont(epoch(event_time), 0.5) AS BIGINT) AS VARCHAR), '' FROM EVENTS")))
import datetime
day = datetime.datetime.fromtimestamp(int(known["day"]), datetime.timezone.utc).date()
known["day"], known["after"] = str(day), str(day + datetime.timedelta(days=1))
known["eventid"], = one(f"SELECT eventid FROM EVENTS WHERE eventtime >= '{day}T12:00:00Z' ORDER BY eventtime, eventid LIMIT 1")
known["key"], = one(f"SELECT useridentity.accesskeyid AS k FROM EVENTS WHERE k IS NOT NULL AND eventtime >= '{day}T12' GROUP BY k HAVING count(*) >= 2 ORDER BY count(*), k LIMIT 1")
known["bucket"], = one("SELECT json_extract_string(requestparameters, '$.bucketName') AS b FROM EVENTS WHERE b IS NOT NULL GROUP BY b ORDER BY count(*) DESC, b LIMIT 1 OFFSET 1")
known["session"], = one(f"SELECT regexp_extract(useridentity.arn, '[^/]+$') AS s FROM EVENTS WHERE useridentity.arn IS NOT NULL AND eventtime BETWEEN '{day}T06' AND '{day}T08' GROUP BY s ORDER BY count(*) DESC, s LIMIT 1 OFFSET 1")
known["text"], = one("SELECT regexp_extract(requestparameters, '[0-9a-f]{8,}') AS t FROM EVENTS WHERE requestparameters IS NOT NULL AND t <> '' ORDER BY eventid LIMIT 1")
print(json.dumps(known))
"""
    found = subprocess.run([python, "-c", program], input=json.dumps(files), capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"choosing what to look for failed:\n{found.stderr}")
    return json.loads(found.stdout)


def lookups(trailq, lake, known, size):
    """What part of the lake's bytes the point look-ups read, as EXPLAIN ANALYZE tells."""
    asked = {
        **{name: dialects["trailq"] for name, dialects in questions(known).items() if name in LOOKUPS},
        "an address that is nowhere": "SELECT eventtime, eventname FROM {events} WHERE sourceipaddress = '203.0.113.253'",
    }
    lines = ["", "| look-up | MB read | of the lake's bytes |", "|---|---:|---:|"]
    for name, sql in asked.items():
        command = [str(trailq), "sql", "--lake", str(lake), "--format", "ndjson", "EXPLAIN ANALYZE " + sql.replace("{events}", "cloudtrail_logs")]
        plan = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        scale = {"": 1, "B": 1, "K": 1e3, "KB": 1e3, "M": 1e6, "MB": 1e6, "G": 1e9, "GB": 1e9}
        read = sum(float(number) * scale[unit] for number, unit in re.findall(r"bytes_scanned=([0-9.]+) ?([KMG]?B?)", plan))
        lines.append(f"| {name} | {read / 1e6:.2f} | {read / size:.2%} |")
    return "\n".join(lines)


def heading(trailq, python, known, files, size, args):
    versions = ingest.versions(trailq, python)
    shown = ", ".join(f"{name} {versions[name]}" for name in ("trailq", "duckdb", "chdb-core") if name in versions)
    return (
        f"{datetime.date.today().isoformat()}; {ingest.machine(args.threads)}; {shown}.\n"
        f"{known['events']:,} events in {len(files):,} Parquet files, {size / 1e6:,.0f} MB. Medians of {args.repeat} runs; CPU seconds (wall-clock seconds).\n"
    )


def line(name, middle, count):
    cells = [name, str(count)]
    for temperature in ("", "warm "):
        own = middle["trailq"][f"{temperature}cpu"]
        for peer in PEERS:
            cells.append(f"{middle[peer][f'{temperature}cpu']:.3f} ({middle[peer][f'{temperature}wall']:.3f})")
        for peer in PEERS[1:]:
            cells.append(f"{middle[peer][f'{temperature}cpu'] / own:.2f}")
    return "| " + " | ".join(cells) + " |"


def markdown(rows):
    lines = [
        "| question | rows | cold: trailq | DuckDB | ClickHouse | DuckDB / trailq | ClickHouse / trailq"
        " | warm: trailq | DuckDB | ClickHouse | DuckDB / trailq | ClickHouse / trailq |",
        "|---|" + "---:|" * 11,
    ]
    lines += [line(*row) for row in rows]
    means = []
    for temperature in ("", "warm "):
        means += ["", "", ""]
        for peer in PEERS[1:]:
            ratios = [middle[peer][f"{temperature}cpu"] / middle["trailq"][f"{temperature}cpu"] for _, middle, _ in rows]
            means.append(f"**{math.exp(statistics.fmean(map(math.log, ratios))):.2f}**")
    lines.append("| geometric mean | | " + " | ".join(means) + " |")
    return "\n".join(lines)


def made(trailq, args):
    """A lake of thirty days, looked after: as a daemon's is."""
    corpus, lake = args.work / f"month-{args.events}", args.work / f"month-{args.events}-lake"
    run = lambda *command: subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    if not corpus.exists():
        run(trailq, "generate", "--events", args.events, "--days", 30, "--no-digests", "--out", corpus)
    if not lake.exists():
        run(trailq, "ingest", "--lake", lake, corpus)
        run(trailq, "lake", "optimize", "--lake", lake)
        run(trailq, "lake", "vacuum", "--retention", "0s", "--force", "--lake", lake)  # the peers read what is there
    return lake if args.copies == 1 else copied(lake, args.copies)


def copied(lake, copies):
    """The lake with each file of its events that many times: as large as a real one, and of the same values."""
    larger = lake.with_name(f"{lake.name}-{copies}-times")
    if larger.exists():
        return larger
    unfinished = larger.with_name(f"{larger.name}-unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(lake, unfinished)
    events = unfinished / "events"
    log = sorted((events / "_delta_log").glob("*.json"))
    adds = {}
    for line in (line for commit in log for line in commit.read_text().splitlines()):
        action = json.loads(line)
        if "add" in action:
            adds[action["add"]["path"]] = action["add"]
        if "remove" in action:
            adds.pop(action["remove"]["path"], None)
    if len(adds) != sum(1 for _ in events.glob("event_date=*/*.parquet")):
        sys.exit(f"{lake}: its files are not those that the newest commits have added")
    lines = [json.dumps({"commitInfo": {"operation": "WRITE", "engineInfo": "benches/answers.py"}})]
    for add in adds.values():
        for _ in range(copies - 1):
            path = f"{add['path'].rpartition('/')[0]}/part-{uuid.uuid4()}.parquet"
            shutil.copyfile(events / add["path"], events / path)
            lines.append(json.dumps({"add": {**add, "path": path}}))
    (log[-1].with_name(f"{int(log[-1].stem) + 1:020}.json")).write_text("\n".join(lines) + "\n")
    unfinished.rename(larger)
    return larger


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the lake to make [1000000]")
    parser.add_argument("--copies", type=int, default=1, help="how often each file is in the lake [1]")
    parser.add_argument("--lake", type=Path, help="a lake to use instead, with no files that are in no table (trailq lake vacuum)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each [3]")
    parser.add_argument("--further", type=int, default=3, help="askings of a process after the first [3]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of each [all cores]")
    parser.add_argument("--only", help="the questions whose name has this in it")
    parser.add_argument("--trailq", type=Path, help="a binary; otherwise `cargo build --release` makes it")
    parser.add_argument("--work", type=Path, default=common.WORK, help="for the venv, the corpus and the lake")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        answer_as_peer(args.peer)
        sys.exit()
    return args


if __name__ == "__main__":
    main()
