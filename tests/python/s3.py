"""s3.py ENDPOINT create BUCKET | ENDPOINT upload DIRECTORY BUCKET PREFIX"""

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
if what == "create":
    s3.create_bucket(Bucket=arguments[0])
else:
    directory, bucket, prefix = arguments
    s3.create_bucket(Bucket=bucket)
    root = Path(directory)

    def put(path):
        s3.put_object(Bucket=bucket, Key=prefix + path.relative_to(root).as_posix(), Body=path.read_bytes())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, [path for path in sorted(root.rglob("*")) if path.is_file()]))
