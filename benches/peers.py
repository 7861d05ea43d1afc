"""How each peer turns CloudTrail's json.gz files into Parquet: the way its own documentation goes.

All columns of trailq's schema with the same types: text, structs of text, and JSON text for the parts of free form.
zstd level 1 throughout, as trailq has it.
"""

import gzip
import json

TEXT, JSON = "text", "json"

SESSION_CONTEXT = {
    "attributes": {"mfaAuthenticated": TEXT, "creationDate": TEXT, "sessionCredentialFromConsole": TEXT},
    "sessionIssuer": {"type": TEXT, "principalId": TEXT, "arn": TEXT, "accountId": TEXT, "userName": TEXT},
    "webIdFederationData": {"federatedProvider": TEXT, "attributes": JSON},
    "ec2RoleDelivery": TEXT,
    "ec2IssuedInVpc": TEXT,
    "sourceIdentity": TEXT,
    "assumedRoot": TEXT,
}
USER_IDENTITY = {
    **dict.fromkeys(["type", "principalId", "arn", "accountId", "invokedBy", "accessKeyId", "userName"], TEXT),
    "sessionContext": SESSION_CONTEXT,
    "onBehalfOf": {"userId": TEXT, "identityStoreArn": TEXT},
    "inScopeOf": dict.fromkeys(
        ["sourceArn", "sourceAccount", "issuerType", "credentialsIssuedTo", "credentialsIssuedToVersion"], TEXT
    ),
    "identityProvider": TEXT,
    "credentialId": TEXT,
    "invokedByDelegate": {"accountId": TEXT},
}
RECORD = {
    "eventVersion": TEXT,
    "userIdentity": USER_IDENTITY,
    **dict.fromkeys(["eventTime", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "userAgent"], TEXT),
    **dict.fromkeys(["errorCode", "errorMessage"], TEXT),
    **dict.fromkeys(["requestParameters", "responseElements", "additionalEventData"], JSON),
    **dict.fromkeys(["requestID", "eventID", "readOnly"], TEXT),
    "resources": [{"ARN": TEXT, "accountId": TEXT, "type": TEXT, "ARNPrefix": TEXT}],
    **dict.fromkeys(["eventType", "apiVersion", "recipientAccountId"], TEXT),
    "serviceEventDetails": JSON,
    **dict.fromkeys(["sharedEventID", "vpcEndpointId", "vpcEndpointAccountId", "eventCategory"], TEXT),
    "addendum": dict.fromkeys(["reason", "updatedFields", "originalRequestID", "originalEventID", "originalUID"], TEXT),
    "sessionCredentialFromConsole": TEXT,
    "edgeDeviceDetails": JSON,
    "tlsDetails": dict.fromkeys(["tlsVersion", "cipherSuite", "clientProvidedHostHeader", "keyExchange"], TEXT),
    "managementEvent": TEXT,
    **dict.fromkeys(["eventContext", "insightDetails", "timeWindow", "summary"], JSON),
}


TREES = ["CloudTrail", "CloudTrail-Insight", "CloudTrail-NetworkActivity", "CloudTrail-Aggregated"]


def log_files(corpus):
    return sorted(str(file) for tree in TREES for file in corpus.rglob(f"*_{tree}_*.json.gz"))


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def duckdb(corpus, out, threads):
    import duckdb

    def sql_type(kind):
        if isinstance(kind, dict):
            return "STRUCT(" + ", ".join(f'"{name}" {sql_type(member)}' for name, member in kind.items()) + ")"
        if isinstance(kind, list):
            return sql_type(kind[0]) + "[]"
        return "JSON" if kind == JSON else "VARCHAR"

    files = "[" + ", ".join(map(quoted, log_files(corpus))) + "]"
    columns = "{Records: " + quoted(sql_type([RECORD])) + "}"
    duckdb.execute(f"SET threads = {threads}; SET preserve_insertion_order = false")
    duckdb.execute(
        f"""COPY (SELECT unnest(record) FROM (
                SELECT unnest(Records) AS record
                FROM read_json({files}, columns = {columns}, maximum_object_size = 200000000)))
            TO {quoted(str(out / "events.parquet"))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"""
    )


def clickhouse(corpus, out, threads):
    import chdb

    def sql_type(kind):
        if isinstance(kind, dict):
            return "Tuple(" + ", ".join(f"`{name}` {sql_type(member)}" for name, member in kind.items()) + ")"
        if isinstance(kind, list):
            return f"Array({sql_type(kind[0])})"
        return "Nullable(String)"

    settings = {
        "max_threads": threads,
        "input_format_json_read_objects_as_strings": 1,
        "input_format_json_read_arrays_as_strings": 1,
        "input_format_json_read_numbers_as_strings": 1,
        "input_format_json_read_bools_as_strings": 1,
        "input_format_json_ignore_unknown_keys_in_named_tuple": 1,
        "input_format_json_defaults_for_missing_elements_in_named_tuple": 1,
        "input_format_null_as_default": 1,
        "output_format_parquet_compression_method": "'zstd'",
        "output_format_compression_level": 1,
    }
    files = str(corpus / "**" / ("*_{" + ",".join(TREES) + "}_*.json.gz"))
    record = quoted(sql_type(RECORD))
    columns = ", ".join(f"tupleElement(record, {quoted(name)}) AS `{name}`" for name in RECORD)
    # The obvious type of Records, Array(Tuple(...)), takes as much CPU on large files and far more on small ones.
    chdb.query(
        f"""INSERT INTO FUNCTION file({quoted(str(out / "events.parquet"))}, Parquet)
            SELECT {columns} FROM (
                SELECT JSONExtract(text, {record}) AS record FROM (
                    SELECT arrayJoin(Records) AS text
                    FROM file({quoted(files)}, JSONEachRow, 'Records Array(String)')))
            SETTINGS {", ".join(f"{name} = {value}" for name, value in settings.items())}"""
    )


def polars(corpus, out, threads):
    import os

    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars

    def data_type(kind):
        if isinstance(kind, dict):
            return polars.Struct({name: data_type(member) for name, member in kind.items()})
        if isinstance(kind, list):
            return polars.List(data_type(kind[0]))
        return polars.String

    frame = polars.scan_ndjson(log_files(corpus), schema={"Records": data_type([RECORD])})
    frame = frame.explode("Records").select(polars.col("Records").struct.unnest())
    frame.sink_parquet(out / "events.parquet", compression="zstd", compression_level=1)


def pyarrow(corpus, out, _threads):
    """One thread: PyArrow's own JSON reader can't keep a part of free form as text."""
    import pyarrow
    import pyarrow.parquet

    def data_type(kind):
        if isinstance(kind, dict):
            return pyarrow.struct({name: data_type(member) for name, member in kind.items()})
        if isinstance(kind, list):
            return pyarrow.list_(data_type(kind[0]))
        return pyarrow.string()

    def shaped(value, kind):
        if value is None:
            return None
        if isinstance(kind, dict):
            return {name: shaped(value.get(name), kind[name]) for name in value if name in kind}
        if isinstance(kind, list):
            return [shaped(element, kind[0]) for element in value]
        if isinstance(value, str) and kind == TEXT:
            return value
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    schema = pyarrow.schema([(name, data_type(kind)) for name, kind in RECORD.items()])
    with pyarrow.parquet.ParquetWriter(
        out / "events.parquet", schema, compression="zstd", compression_level=1
    ) as writer:
        rows = []
        for file in log_files(corpus):
            with gzip.open(file) as log_file:
                rows += [shaped(record, RECORD) for record in json.load(log_file)["Records"]]
            if len(rows) >= 100_000:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pyarrow.Table.from_pylist(rows, schema))


PEERS = {"duckdb": duckdb, "clickhouse": clickhouse, "polars": polars, "pyarrow": pyarrow}
