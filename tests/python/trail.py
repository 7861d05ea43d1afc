"""trail.py ENDPOINT upload DIRECTORY BUCKET | ENDPOINT delete BUCKET KEY…

Uploads a copy of a trail's bucket, the signatures of its digests with them.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

endpoint, what, *arguments = sys.argv[1:]
s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
if what == "delete":
    bucket, *keys = arguments
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
else:
    directory, bucket = arguments
    s3.create_bucket(Bucket=bucket)
    root = Path(directory)
    metadata = json.loads((root / "digest-metadata.json").read_text())["objects"]

    def put(path):
        key = path.relative_to(root).as_posix()
        s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), Metadata=metadata.get(key, {}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, [path for path in sorted((root / "AWSLogs").rglob("*")) if path.is_file()]))
