"""engines.py LAKE LOGS: opens a lake with three engines, and compares their answers with plain Python's."""

import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import deltalake
import duckdb
import duckdb_extension_delta
import polars

import plain

lake, logs = sys.argv[1:]
records = [record for _, _, record in plain.records(logs)]


def identity(record, *names):
    value = record.get("userIdentity", {})
    for name in names:
        value = (value or {}).get(name)
    return value


def checksum(ids):
    """The sum of the first 32 bits of the eventIDs."""
    return sum(int(event_id[:8], 16) for event_id in ids)


def arns(resources):
    return sum(len(resource["arn"] or "") for resource in resources or [])


DATE = sorted({record["eventTime"][:10] for record in records})[1]
TRUTH = {
    "rows": len(records),
    "eventIDs": len({record["eventID"] for record in records}),
    "checksum": checksum(record["eventID"] for record in records),
    "eventNames": Counter(record["eventName"] for record in records if "eventName" in record),
    "arns": Counter(arn for record in records if (arn := identity(record, "arn"))),
    "issuers": Counter(
        name for record in records if (name := identity(record, "sessionContext", "sessionIssuer", "userName"))
    ),
    "resources": sum(len(record.get("resources") or []) for record in records),
    "resource ARNs": sum(len(r.get("ARN", "")) for record in records for r in record.get("resources") or []),
    "parameters": sum(record.get("requestParameters") is not None for record in records),
    "first": min(record["eventTime"] for record in records),
    "last": max(record["eventTime"] for record in records),
    "of a day": sum(record["eventTime"].startswith(DATE) for record in records),
    "hashes": plain.hashes(logs),
}


def iso(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def by_deltalake():
    table = deltalake.DeltaTable(f"{lake}/events")
    rows = table.to_pyarrow_table().to_pylist()
    ledger = deltalake.DeltaTable(f"{lake}/log_files").to_pyarrow_table().to_pylist()
    day = datetime.strptime(DATE, "%Y-%m-%d").date()
    issuers = [((row["useridentity"] or {}).get("sessioncontext") or {}).get("sessionissuer") for row in rows]
    return {
        "rows": len(rows),
        "eventIDs": len({row["eventid"] for row in rows}),
        "checksum": checksum(row["eventid"] for row in rows),
        "eventNames": Counter(row["eventname"] for row in rows if row["eventname"]),
        "arns": Counter(arn for row in rows if (arn := (row["useridentity"] or {}).get("arn"))),
        "issuers": Counter(issuer["username"] for issuer in issuers if issuer and issuer["username"]),
        "resources": sum(len(row["resources"] or []) for row in rows),
        "resource ARNs": sum(arns(row["resources"]) for row in rows),
        "parameters": sum(row["requestparameters"] is not None for row in rows),
        "first": iso(min(row["event_time"] for row in rows)),
        "last": iso(max(row["event_time"] for row in rows)),
        "of a day": table.to_pyarrow_table(filters=[("event_date", "=", day)]).num_rows,
        "hashes": {row["log_file"]: row["sha256"] for row in ledger},
    }


def by_duckdb():
    connection = duckdb.connect()
    extension = next(Path(duckdb_extension_delta.__file__).parent.rglob("delta.duckdb_extension"))
    connection.execute(f"LOAD '{extension}'; SET TimeZone = 'UTC'")
    connection.execute(f"CREATE VIEW events AS FROM delta_scan('{lake}/events')")

    def one(expression, condition="true"):
        return connection.execute(f"SELECT {expression} FROM events WHERE {condition}").fetchone()[0]

    def histogram(column):
        return Counter(dict(connection.execute(f"SELECT {column}, count(*) FROM events GROUP BY 1").fetchall()))

    ledger = connection.execute(f"SELECT log_file, sha256 FROM delta_scan('{lake}/log_files')").fetchall()
    answers = {
        "rows": one("count(*)"),
        "eventIDs": one("count(DISTINCT eventid)"),
        "checksum": one("sum(('0x' || substr(eventid, 1, 8))::BIGINT)"),
        "eventNames": histogram("eventname"),
        "arns": histogram("useridentity.arn"),
        "issuers": histogram("useridentity.sessioncontext.sessionissuer.username"),
        "resources": one("sum(len(resources))"),
        "resource ARNs": one("sum(list_sum(list_transform(resources, lambda r: len(r.arn))))"),
        "parameters": one("count(requestparameters)"),
        "first": iso(one("min(event_time AT TIME ZONE 'UTC')")),
        "last": iso(one("max(event_time AT TIME ZONE 'UTC')")),
        "of a day": one("count(*)", f"event_date = DATE '{DATE}'"),
        "hashes": dict(ledger),
    }
    return answers


def by_polars():
    events = polars.scan_delta(f"{lake}/events")
    column, identity = polars.col, polars.col("useridentity").struct

    def one(expression):
        return events.select(expression).collect().item()

    def histogram(expression):
        counts = events.group_by(expression.alias("value")).len().collect()
        return Counter(dict(counts.iter_rows()))

    ledger = polars.read_delta(f"{lake}/log_files").select("log_file", "sha256")
    issuer = identity.field("sessioncontext").struct.field("sessionissuer").struct.field("username")
    resource_arn = column("resources").list.explode().struct.field("arn")
    return {
        "rows": one(polars.len()),
        "eventIDs": one(column("eventid").n_unique()),
        "checksum": one(column("eventid").str.slice(0, 8).str.to_integer(base=16, dtype=polars.Int64).sum()),
        "eventNames": histogram(column("eventname")),
        "arns": histogram(identity.field("arn")),
        "issuers": histogram(issuer),
        "resources": one(column("resources").list.len().sum()),
        "resource ARNs": one(resource_arn.str.len_chars().sum()),
        "parameters": one(column("requestparameters").count()),
        "first": iso(one(column("event_time").min())),
        "last": iso(one(column("event_time").max())),
        "of a day": events.filter(column("event_date") == polars.lit(DATE).str.to_date()).collect().height,
        "hashes": dict(ledger.iter_rows()),
    }


for engine in [by_deltalake, by_duckdb, by_polars]:
    answers = engine()
    for counter in ["eventNames", "arns", "issuers"]:
        answers[counter].pop(None, None)
    plain.same(f"{engine.__name__}: the questions", sorted(answers), sorted(TRUTH))
    for question, truth in TRUTH.items():
        plain.same(f"{engine.__name__}: {question}", answers[question], truth)
    print(engine.__name__, answers["rows"])
plain.done()
