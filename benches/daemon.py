#!/usr/bin/env python3
"""trailq's daemon and its peers on one job: S3's notifications on SQS to Parquet.

    python3 benches/daemon.py                     make a corpus, a venv with the peers, measure, print
    python3 benches/daemon.py --corpus DIR        on log files that exist

Queue and bucket are the tests' own stand-in for AWS, served from memory: moto would be what is measured.
See README.md for what is compared and what is not.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import common
import ingest
import peers

HERE = Path(__file__).resolve().parent
PEERS = ["clickhouse", "pyarrow"]
OURS = ["daemon", "ingest", "ingest-local"]
BATCH_AGE = 5  # seconds, of everybody: a message waits so long for its batch
BATCH_FILES = 5000  # and a batch has at most so many log files
REQUESTS = 48  # at once, for objects: trailq's default


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    trailq = args.trailq or common.build()
    python = common.venv(args.work / "venv", [*ingest.PACKAGES, "boto3"])
    corpus = args.corpus or common.generated(trailq, args.work / f"corpus-{args.events}", args.events)
    files = len(peers.log_files(corpus))
    queues = [f"{name}-{number}" for name in args.only for number in range(args.repeat)]
    runs = {name: [] for name in args.only}
    with stand_in(args.test_binary or test_binary(), corpus, queues, args.work) as server:
        for number in range(args.repeat):
            for name in args.only:  # in turn, so that a slow minute of the machine hits all of them
                run = measure(name, f"{name}-{number}", server.endpoint, trailq, python, corpus, args)
                runs[name].append(run)
                print(f"{number + 1}: {name:13}{ingest.told(run)}", file=sys.stderr)
    report(runs, files, args)
    if len({tuple(run["checks"].items()) for each in runs.values() for run in each}) > 1:
        sys.exit("the outputs differ: the times can't be compared")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="events of the corpus to make [200000]")
    parser.add_argument("--corpus", type=Path, help="a directory of log files to use instead")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each [3]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of each [all cores]")
    parser.add_argument("--only", type=lambda text: text.split(","), default=OURS + PEERS, help=",".join(OURS + PEERS))
    parser.add_argument("--trailq", type=Path, help="a binary; otherwise `cargo build --release` makes it")
    parser.add_argument("--test-binary", type=Path, help="the tests, which serve; otherwise cargo makes them")
    parser.add_argument("--work", type=Path, default=common.WORK, help="for the venv, the corpus and the outputs")
    parser.add_argument("--consume", help=argparse.SUPPRESS)
    parser.add_argument("--queue", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.consume:
        consume(args.consume, args.queue, args.out, args.threads)
        sys.exit()
    args.work = args.work.resolve()
    return args


# The peers: the consumer that people write for themselves, with boto3 around an engine that makes Parquet.


def consume(engine, queue_url, out, threads):
    """Receives, fetches many objects at once, makes a Parquet file of each batch, then deletes its messages."""
    import tempfile
    import urllib.parse
    from concurrent.futures import ThreadPoolExecutor

    import boto3
    from botocore.config import Config

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    config = Config(max_pool_connections=REQUESTS, s3={"addressing_style": "path"})
    sqs, s3 = boto3.client("sqs", config=config), boto3.client("s3", config=config)

    def fetch(folder, number, bucket, key):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        (folder / f"{number}_{key.rsplit('/', 1)[-1]}").write_bytes(body)

    number, batches = 0, 0
    with ThreadPoolExecutor(REQUESTS) as pool:
        while not stop:
            folder = Path(tempfile.mkdtemp(dir=out)) / "logs"
            folder.mkdir()
            handles, fetched, since = [], [], None
            while not stop and number < BATCH_FILES * (batches + 1):
                if since and time.monotonic() - since > BATCH_AGE:
                    break
                answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
                for message in answer.get("Messages", []):
                    since = since or time.monotonic()
                    handles.append(message["ReceiptHandle"])
                    for record in json.loads(message["Body"])["Records"]:
                        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
                        number += 1
                        fetched.append(pool.submit(fetch, folder, number, record["s3"]["bucket"]["name"], key))
            for one in fetched:
                one.result()
            if handles:
                batches += 1
                made = out / f"batch-{batches}"
                made.mkdir()
                peers.PEERS[engine](folder.parent, made, threads)

                def delete(start):
                    some = [{"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate(handles[start : start + 10])]
                    sqs.delete_message_batch(QueueUrl=queue_url, Entries=some)

                list(pool.map(delete, range(0, len(handles), 10)))
            shutil.rmtree(folder.parent)


# The stand-in for AWS.


class stand_in:
    def __init__(self, binary, corpus, queues, work):
        variables = {"TRAILQ_STAND_IN": str(corpus), "TRAILQ_STAND_IN_QUEUES": ",".join(queues)}
        command = [binary, "stand_in::stand_in", "--exact", "--ignored", "--nocapture"]
        self.child = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(work / "stand-in.log", "w"),
            text=True,
        )
        for line in self.child.stdout:
            if "http://" in line:
                self.endpoint = line[line.index("http://") :].strip()
                return
        sys.exit((work / "stand-in.log").read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait()


def test_binary():
    command = ["cargo", "test", "--release", "--test", "it", "--no-run", "--message-format", "json"]
    built = subprocess.run(command, cwd=common.ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in built.splitlines() if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "it")


def left(endpoint, queue_url):
    """Messages that wait or are in somebody's hands."""
    body = json.dumps({"QueueUrl": queue_url, "AttributeNames": ["All"]}).encode()
    headers = {"x-amz-target": "AmazonSQS.GetQueueAttributes", "content-type": "application/x-amz-json-1.0"}
    with urllib.request.urlopen(urllib.request.Request(endpoint, body, headers)) as answer:
        attributes = json.load(answer)["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


def measure(name, queue, endpoint, trailq, python, corpus, args):
    """Runs one of them on a queue of its own until that is empty, in a process of its own."""
    out = args.work / "out" / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    queue_url, threads = f"{endpoint}/111122223333/{queue}", ["--threads", str(args.threads)]
    if name == "daemon":
        command = [trailq, "daemon", "--queue-url", queue_url, "--bucket", "trail", "--lake", out, *threads]
        command += ["--batch-age", BATCH_AGE, "--integrity", "false", "--metrics-address", "off", "--wait-time", 1]
    elif name == "ingest":
        command = [trailq, "ingest", "s3://trail", "--lake", out, *threads]
    elif name == "ingest-local":
        command = [trailq, "ingest", corpus, "--lake", out, *threads]
    else:
        command = [python, HERE / "daemon.py", "--consume", name, "--queue", queue_url, "--out", out, *threads]
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    with open(args.work / f"{name}.log", "w") as log:
        busy, started = ingest.busy_seconds(), time.monotonic()
        child = subprocess.Popen([str(part) for part in command], env=environment, stdout=log, stderr=log)
        wall = None
        if not name.startswith("ingest"):
            while left(endpoint, queue_url):
                time.sleep(0.2)
            wall = time.monotonic() - started
            child.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(child.pid, 0)
        busy, ended = ingest.busy_seconds() - busy, time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{name} ended with {child.returncode}:\n" + (args.work / f"{name}.log").read_text()[-3000:])
    parquet = [file for file in out.rglob("*.parquet") if "events" in file.parts or name not in OURS]
    cpu = usage.ru_utime + usage.ru_stime
    run = {
        "cpu": cpu,
        "wall": wall or ended,
        "rss": usage.ru_maxrss * 1024,
        "others": max(0.0, busy - cpu) / (ended * os.cpu_count()),
        "checks": ingest.check(python, parquet),
    }
    shutil.rmtree(out)
    return run


def report(runs, files, args):
    import statistics

    middle = lambda name, what: statistics.median(run[what] for run in runs[name])
    first = next(iter(runs))
    rows = runs[first][0]["checks"]["rows"]
    print(f"{ingest.machine(args.threads)}. {rows:,} records in {files:,} files, medians of {args.repeat} runs.\n")
    print("| | CPU seconds | ratio | ms of CPU a file | wall seconds | events/s | peak memory |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, each in runs.items():
        cpu, wall = middle(name, "cpu"), middle(name, "wall")
        spread = f"{cpu:.1f} ({min(run['cpu'] for run in each):.1f}–{max(run['cpu'] for run in each):.1f})"
        print(
            f"| {name} | {spread} | {cpu / middle(first, 'cpu'):.2f} | {cpu / files * 1000:.2f} | {wall:.1f} "
            f"| {rows / wall:,.0f} | {middle(name, 'rss') / 1e6:,.0f} MB |"
        )


if __name__ == "__main__":
    main()
