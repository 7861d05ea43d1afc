#!/usr/bin/env python3
"""What an organization's CloudTrail costs with trailq, and with Athena over the raw log files: docs/cost.md's tables.

    python3 benches/cost.py                                    the figures of docs/performance.md, today's prices as given below
    python3 benches/cost.py --accounts 50 --events 2e8 --price-core-hour 0.05

Everything is an argument: what was measured, what your organization is like, and what things cost.
"""

import argparse

MONTH_HOURS = 730
DELIVERIES_PER_HOUR = 12  # CloudTrail delivers about every five minutes


def main():
    a = arguments()
    files = a.accounts * a.active_regions * DELIVERIES_PER_HOUR * MONTH_HOURS * a.busy
    cpu = files * a.cpu_file + a.events * a.cpu_event
    cores = cpu / (MONTH_HOURS * 3600)
    lake_gb, raw_gb = a.events * a.lake_bytes / 1e9, a.events * a.raw_bytes / 1e9
    messages = files / a.batch
    commits = MONTH_HOURS * 3600 / a.commit_seconds
    puts = commits * a.objects_per_commit
    gets = files
    rows = [
        ("log files", "accounts x active regions x 12 an hour x 730 h x share of five minutes with activity", f"{files / 1e6:,.1f} million", ""),
        ("events in a log file", "events / log files", f"{a.events / files:,.0f}", ""),
        ("CPU", "log files x CPU a file + events x CPU an event", f"{cpu / 3600:,.0f} core hours: {cores:.2f} of a core on average", f"{cpu / 3600 * a.price_core_hour:,.2f}"),
        ("machine", f"the average x {a.peak:g} for the busiest minutes, rounded up, all month", f"{machine(cores * a.peak)} cores", f"{machine(cores * a.peak) * MONTH_HOURS * a.price_core_hour:,.2f}"),
        ("S3 GET", "one a log file", f"{gets / 1e6:,.1f} million", f"{gets / 1e6 * a.price_get:,.2f}"),
        ("S3 PUT", f"one commit every {a.commit_seconds:g} s x {a.objects_per_commit:g} objects", f"{puts / 1e6:,.2f} million", f"{puts / 1e6 * a.price_put:,.2f}"),
        ("SQS", f"log files / {a.batch:g} a request: one to receive, one to delete", f"{2 * messages / 1e6:,.1f} million", f"{2 * messages / 1e6 * a.price_sqs:,.2f}"),
        ("the lake", "events x bytes an event", f"{lake_gb:,.0f} GB for each month kept", f"{lake_gb * a.price_gb:,.2f}"),
    ]
    print(f"{a.accounts:,.0f} accounts, {a.events / 1e9:,.1f} billion events a month, prices in US dollars of {a.prices_of}.\n")
    print("| a month of trailq | formula | how much | US$ |\n|---|---|---:|---:|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    fixed = sum(float(row[3].replace(",", "")) for row in rows if row[3] and row[0] != "CPU")
    print(f"| **together** | without CPU, which the machine is for | | **{fixed:,.2f}** |\n")
    print("| a question | formula | Athena over raw log files | trailq |\n|---|---|---:|---:|")
    for name, share, seconds in (("the whole month", 1.0, a.query_seconds), ("one day", 1 / 30, a.query_seconds / 30)):
        scan, fetch = raw_gb / 1e3 * share * a.price_tb, files * share / 1e6 * a.price_get
        own = seconds * a.events / 1e6 / 3600 * a.price_core_hour
        print(f"| {name} | TB of gzip x price a TB, and a GET a log file; core seconds a million events x price | {scan:,.2f} + {fetch:,.2f} | {own:,.3f} |")
    print(f"\nThe raw log files, {raw_gb:,.0f} GB for each month kept, are there either way: ${raw_gb * a.price_gb:,.2f}.")


def machine(cores):
    """Cores that can be rented: 2, 4, 8 …"""
    size = 2
    while size < cores:
        size *= 2
    return size


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = lambda name, default, text: parser.add_argument(name, type=float, default=default, help=f"{text} [{default:g}]")
    add("--accounts", 1000, "accounts")
    add("--events", 10e9, "events a month")
    add("--active-regions", 5, "regions of an account in which something happens")
    add("--busy", 0.8, "share of five-minute spans in which such a region has events")
    add("--peak", 10, "the busiest minutes against the average")
    add("--cpu-file", CPU_FILE, "measured: CPU seconds of the daemon a log file")
    add("--cpu-event", CPU_EVENT, "measured: CPU seconds of the daemon an event")
    add("--lake-bytes", LAKE_BYTES, "measured: bytes an event in the lake")
    add("--raw-bytes", RAW_BYTES, "measured: bytes an event in gzip")
    add("--query-seconds", QUERY_SECONDS, "measured: core seconds to group a million events by a member of JSON")
    add("--batch", 10, "messages a request")
    add("--commit-seconds", 60, "time between commits")
    add("--objects-per-commit", 9, "Parquet files of four tables, and their logs")
    add("--price-core-hour", 0.043, "a core for an hour")
    add("--price-gb", 0.023, "a GB in S3 for a month")
    add("--price-get", 0.40, "a million GETs")
    add("--price-put", 5.00, "a million PUTs")
    add("--price-sqs", 0.40, "a million requests to SQS")
    add("--price-tb", 5.00, "a TB that Athena scans")
    parser.add_argument("--prices-of", default="2025, us-east-1, on demand", help="the date of the prices [%(default)s]")
    return parser.parse_args()


# docs/performance.md says where these come from.
CPU_FILE = 0.56e-3
CPU_EVENT = 10.9e-6
LAKE_BYTES = 136
RAW_BYTES = 184
QUERY_SECONDS = 0.3

if __name__ == "__main__":
    main()
