"""compare.py LAKE LOGS: every field of every row of a lake against what plain Python reads.

Strings are compared exactly, JSON columns as parsed JSON, structs member by member. A field that its
column cannot hold must be in `unmapped`, whole; an explicit null is named in `null_fields`.
"""

import json
import sys
from collections import Counter

import deltalake
import pyarrow

import plain

# The free-form parts, of which the column has the text.
JSON = {
    "requestparameters", "responseelements", "additionaleventdata", "serviceeventdetails",
    "edgedevicedetails", "eventcontext", "insightdetails", "timewindow", "summary",
}  # fmt: skip
FLAGS = {"readonly", "managementevent"}
# Columns that no field of a record fills.
OURS = {
    "unmapped", "null_fields", "event_time", "log_file", "record_index",
    "account", "region", "log_date", "event_date",
}  # fmt: skip

lake, logs = sys.argv[1:]
table = deltalake.DeltaTable(f"{lake}/events").to_pyarrow_table()
types = {field.name: field.type for field in table.schema if field.name not in OURS}
rows = {(row["log_file"], row["record_index"]): row for row in table.to_pylist()}
records = {(file, index): record for file, index, record in plain.records(logs)}
seen = Counter()


def holds(kind, found, value):
    """Whether a column, or a member of one, of this type has `value`, all of it."""
    if pyarrow.types.is_struct(kind):
        if not isinstance(value, dict) or not isinstance(found, dict):
            return False
        values = {name.lower(): member for name, member in value.items()}
        members = {field.name: field.type for field in kind}
        extra = {name for name, member in found.items() if member is not None} - set(values)
        known = all(name in members and holds(members[name], found[name], values[name]) for name in values)
        return known and not extra
    if pyarrow.types.is_list(kind):
        if not isinstance(value, list) or not isinstance(found, list) or len(found) != len(value):
            return False
        return all(holds(kind.value_type, one, other) for one, other in zip(found, value))
    if pyarrow.types.is_map(kind):
        return isinstance(value, dict) and isinstance(found, list) and dict(found) == value
    return isinstance(value, str) and found == value


def matches(column, found, value):
    if column in JSON:
        return found is not None and json.loads(found) == value
    if column in FLAGS:
        return found == {True: "true", False: "false"}.get(value)
    return holds(types[column], found, value)


def check(place, row, record):
    unmapped = json.loads(row["unmapped"] or "{}")
    nulls = set((row["null_fields"] or "").split(",")) - {""}
    plain.same(f"{place}: null_fields", nulls, {name for name, value in record.items() if value is None})
    for name, value in record.items():
        column = name.lower()
        if value is None:
            plain.same(f"{place}: {name}, null", row.get(column), None)
            seen["null"] += 1
        elif name in unmapped:
            plain.same(f"{place}: {name} in unmapped", unmapped[name], value)
            seen["unmapped"] += 1
        elif column not in types or not matches(column, row[column], value):
            raise SystemExit(f"{place}: {name} is lost: {value!r:.1000}, the column has {row.get(column)!r:.1000}")
        else:
            seen["columns"] += 1
    present = {name.lower() for name in record}
    filled = {column for column in types if row[column] is not None}
    plain.same(f"{place}: columns filled without a field", filled - present, set())
    plain.same(f"{place}: unmapped without a field", set(unmapped) - set(record), set())


plain.same("places", sorted(rows), sorted(records))
plain.same("rows", table.num_rows, len(records))
for place, record in records.items():
    check(place, rows[place], record)
for name in ["columns", "null", "unmapped"]:
    print(name, seen[name])
plain.done()
