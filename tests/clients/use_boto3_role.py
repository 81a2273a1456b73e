"""Amazon's SDK with whatever credentials its own chain finds. Does what it is told, and says what came of each: DO BUCKET KEY."""

import os
import sys

import boto3
import botocore.exceptions
from botocore.config import Config

config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1, "mode": "standard"})
DO = {
    "create": lambda s3, bucket, key: s3.create_bucket(Bucket=bucket) and "",
    "put": lambda s3, bucket, key: s3.put_object(Bucket=bucket, Key=key, Body=("in " + key).encode()) and "",
    "get": lambda s3, bucket, key: s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode(),
    "list": lambda s3, bucket, key: str(s3.list_objects_v2(Bucket=bucket)["KeyCount"]),
    "delete": lambda s3, bucket, key: s3.delete_object(Bucket=bucket, Key=key) and "",
}

s3 = None
for told in sys.argv[1:]:
    do, bucket, key = told.split(" ")
    try:
        # Credentials are looked for here already.
        s3 = s3 or boto3.client("s3", endpoint_url=os.environ["DESTINATION"], region_name="us-east-1", config=config)
        print(f"{told}: ok {DO[do](s3, bucket, key)}")
    except botocore.exceptions.ClientError as error:
        print(f"{told}: {error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error'].get('Code')}")
    except Exception as error:
        print(f"{told}: {type(error).__name__} {error}")
