#!/usr/bin/env python3
"""trailq validate-logs and the AWS CLI's, on the same bucket of the same server, in turn.

    python3 benches/validate.py                     2,000 log files, S3 that answers at once, and after 30 ms
    python3 benches/validate.py --memory            trailq's highest memory from 1,000 to 100,000 log files
    python3 benches/validate.py --moto              the same on moto, whose own time then bounds both

Needs Python 3.9 and, for the AWS CLI and moto, a package index. See README.md for what is measured.
"""

import argparse
import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import time
import venv
import zlib
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ORACLE = ROOT / "tests" / "oracle"
AWSCLI = "awscli==1.46.2"
MOTO = "moto[server,s3]==5.2.5"
START, END = "2024-03-01T00:00:00Z", "2024-06-30T00:00:00Z"


# ---------------------------------------------------------------- a server that is not what is measured
class Bucket(asyncio.Protocol):
    """S3 from memory, a few microseconds a request: GetBucketLocation, ListObjects with a marker, GetObject."""

    objects, keys, delay = {}, [], 0.0

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        self.buffer += data
        while True:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self.buffer = rest
            answer = self.answer(head.split(b" ", 2)[1].decode())
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self.transport.write, answer)
            else:
                self.transport.write(answer)

    def answer(self, target):
        known = self.objects.get(target.partition("?")[0])
        if known:
            return known
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if "location" in query:
            return reply(b'<?xml version="1.0"?><LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>')
        if unquote(url.path).strip("/").count("/"):
            return reply(b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>", 404)
        prefix, marker = query.get("prefix", ""), query.get("marker", "")
        found = [key for key in self.keys if key.startswith(prefix) and key > marker]
        contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in found[:1000])
        more = str(len(found) > 1000).lower()
        return reply(f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
                     f"<Prefix>{prefix}</Prefix><MaxKeys>1000</MaxKeys><IsTruncated>{more}</IsTruncated>{contents}</ListBucketResult>".encode())


def reply(body, status=200, headers=""):
    reason = {200: "OK", 404: "Not Found"}[status]
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Length: {len(body)}\r\nContent-Type: application/xml\r\n{headers}\r\n"
    return head.encode() + body


def serve(root, port, delay):
    import json
    metadata = json.loads((root / "meta.json").read_text())
    base = root / "s3" / "ct-bench"
    for path in base.rglob("*.gz"):
        key = str(path.relative_to(base))
        headers = "".join(f"x-amz-meta-{name}: {value}\r\n" for name, value in metadata.get(f"ct-bench/{key}", {}).items())
        Bucket.objects[f"/ct-bench/{key}"] = reply(path.read_bytes(), headers=headers)
        Bucket.keys.append(key)
    Bucket.keys.sort()
    Bucket.delay = delay / 1000

    async def forever():
        server = await asyncio.get_running_loop().create_server(Bucket, "127.0.0.1", port, backlog=512)
        await server.serve_forever()
    asyncio.run(forever())


# ---------------------------------------------------------------- the measurement
def main():
    args = arguments()
    if args.serve:
        return serve(args.serve, args.port, args.delay)
    args.work.mkdir(parents=True, exist_ok=True)
    trailq = args.trailq or build()
    if args.memory:
        return memory(args, trailq)
    aws = environment(args.work / "venv", [AWSCLI] + ([MOTO] if args.moto else []))
    trail = make(args.work, args.files)
    floor = cost_of_hashing(trail)
    print(f"{args.files} log files; to inflate and hash one takes {floor * 1e3:.3f} ms of CPU\n")
    print("| S3 | program | wall s | files/s | CPU ms a file | the server's | highest memory MB |\n|---|---|---:|---:|---:|---:|---:|")
    for name, delay in [("moto", None)] if args.moto else [("at once", 0), ("after 30 ms", 30)]:
        with Servers(args, aws, trail, delay) as servers:
            # Behind a wait the AWS CLI would take minutes for what says no more than a part of it.
            hours = None if delay == 0 or args.moto else 12
            runs = {}
            for repetition in range(args.repeat):
                for program, command in (("trailq", [str(trailq)]), ("aws", [str(aws / "python"), str(aws / "aws"), "cloudtrail"])):
                    limit = hours if program == "aws" else None
                    run = servers.run(command, limit)
                    runs.setdefault(program, []).append(run)
            best = {program: max(found, key=lambda run: run["speed"]) for program, found in runs.items()}
            for program, run in best.items():
                print(f"| {name} | {program} | {run['wall']:.2f} | {run['speed']:.0f} | {run['cpu'] * 1e3:.3f} "
                      f"| {run['server'] * 1e3:.3f} | {run['memory']:.0f} |")
            ratio = best["trailq"]["speed"] / best["aws"]["speed"]
            print(f"| {name} | **ratio** | | **{ratio:.1f}x** | {best['aws']['cpu'] / best['trailq']['cpu']:.1f}x less | | |")
            if delay is None:
                # Python runs one thread at a time: whoever asks, the server answers no faster than that.
                bound = 1 / min(run["server"] for found in runs.values() for run in found) / best["aws"]["speed"]
                print(f"\nA client that takes no time at all would be {bound:.1f}x as fast as the AWS CLI here.")


def memory(args, trailq):
    forms = {"as the AWS CLI": [], "--strict": ["--strict"], "--format junit": ["--format", "junit"]}
    print("| log files | " + " | ".join(f"{form}: MB | files/s" for form in forms) + " |\n|---:|" + "---:|---:|" * len(forms))
    for files in (1000, 10_000, 100_000):
        trail = make(args.work, files)
        with Servers(args, None, trail, 0) as servers:
            # As late as the trail ends: hours without digests are a finding.
            runs = [servers.run([str(trailq)], files // 50, more) for more in forms.values()]
        print(f"| {files:,} | " + " | ".join(f"{run['memory']:.0f} | {run['speed']:,.0f}" for run in runs) + " |", flush=True)


class Servers:
    def __init__(self, args, aws, trail, delay):
        self.trail, ports = trail, (free_port(), free_port())
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        if delay is None:
            s3 = [str(aws / "python"), str(aws / "moto_server"), "-H", "127.0.0.1", "-p", str(ports[0])]
        else:
            s3 = [sys.executable, __file__, "--serve", str(trail), "--port", str(ports[0]), "--delay", str(delay)]
        api = [sys.executable, str(ORACLE / "endpoint.py"), str(trail), "--port", str(ports[1])]
        self.children = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in (s3, api)]
        self.s3 = self.children[0].pid
        for port in ports:
            wait_for(port)
        if delay is None:
            upload(aws, trail, self.urls[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.terminate()
            child.wait()

    def run(self, command, hours, more=()):
        start = datetime.fromisoformat(START.replace("Z", "+00:00"))
        end = END if hours is None else (start + timedelta(hours=hours)).isoformat()
        command = command + ["validate-logs", "--trail-arn", "arn:aws:cloudtrail:us-east-1:111111111111:trail/main",
                             "--region", "us-east-1", "--start-time", START, "--end-time", end, *more]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment.update({"AWS_ENDPOINT_URL_S3": self.urls[0], "AWS_ENDPOINT_URL_CLOUDTRAIL": self.urls[1],
                            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": "/dev/null",
                            "AWS_EC2_METADATA_DISABLED": "true"})
        started, served = time.monotonic(), cpu_seconds(self.s3)
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True)
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall, served = time.monotonic() - started, cpu_seconds(self.s3) - served
        child.returncode = os.waitstatus_to_exitcode(status)
        files = valid(output)
        if child.returncode or not files:
            sys.exit(f"{command} ended with {child.returncode}:\n{output[-2000:]}")
        return {"wall": wall, "speed": files / wall, "cpu": (usage.ru_utime + usage.ru_stime) / files, "server": served / files,
                "memory": usage.ru_maxrss / 1024}


def valid(output):
    """How many log files were found to be valid."""
    if output.startswith("<?xml"):
        suite = ElementTree.fromstring(output).find("testsuite")
        return sum(case.get("classname") == "log file" and len(case) == 0 for case in suite)
    ratios = [line.split("/")[0] for line in output.splitlines() if line.endswith("log files valid")]
    return int(ratios[0]) if ratios else 0


def cpu_seconds(pid):
    """What a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make(work, files):
    """A trail with 50 log files a digest, each of 40 events: 27 kB, 4 kB compressed."""
    trail = work / f"trail-{files}"
    if not (trail / "trails.json").exists():
        command = [sys.executable, str(ORACLE / "make_trail.py"), "--out", str(trail), "--bucket", "ct-bench",
                   "--hours", str(files // 50), "--logs", "50", "--events", "40"]
        subprocess.run(command, check=True)
    return trail


def cost_of_hashing(trail):
    """CPU seconds to inflate and hash a log file, by zlib and OpenSSL."""
    stored = [path.read_bytes() for path in (trail / "s3").rglob("*_CloudTrail_*.gz")]
    started = time.process_time()
    for body in stored:
        hashlib.sha256(zlib.decompress(body, 31)).digest()
    return (time.process_time() - started) / len(stored)


def upload(aws, trail, url):
    program = ("import sys, json, pathlib, botocore.session\n"
               "root = pathlib.Path(sys.argv[1]); base = root / 's3' / 'ct-bench'\n"
               "meta = json.loads((root / 'meta.json').read_text())\n"
               "s3 = botocore.session.get_session().create_client('s3', region_name='us-east-1', endpoint_url=sys.argv[2],\n"
               "    aws_access_key_id='test', aws_secret_access_key='test')\n"
               "s3.create_bucket(Bucket='ct-bench')\n"
               "for path in base.rglob('*.gz'):\n"
               "    key = str(path.relative_to(base))\n"
               "    s3.put_object(Bucket='ct-bench', Key=key, Body=path.read_bytes(), Metadata=meta.get('ct-bench/' + key, {}))\n")
    subprocess.run([str(aws / "python"), "-c", program, str(trail), url], check=True)


def environment(path, packages):
    complete = path / f"complete-{len(packages)}"
    if not complete.exists():
        venv.create(path, with_pip=True)
        subprocess.run([path / "bin/python", "-m", "pip", "install", "--quiet", *packages], check=True)
        complete.touch()
    return path / "bin"


def build():
    subprocess.run(["cargo", "build", "--release", "--bin", "trailq"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "trailq"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(3000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit(f"no server on port {port}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="log files")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the fastest counts")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--moto", action="store_true", help="on moto instead")
    parser.add_argument("--trailq", type=Path, help="a binary that is built already")
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "bench", help="where trails and packages go")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--delay", type=float, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
