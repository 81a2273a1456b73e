"""Amazon's SDK against a server that verifies its signatures. The access key id is a placeholder, the secret access key any text."""

import io
import os
import sys

import boto3
import botocore.exceptions
import requests
from botocore.config import Config

REGION, DESTINATION = sys.argv[1], os.environ["DESTINATION"]
ODD = "dir/a b+c(d)=e.txt"


def client(region):
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1, "mode": "standard"})
    return boto3.client("s3", endpoint_url=DESTINATION, region_name=region, config=config)


def refused(call):
    try:
        call()
    except botocore.exceptions.ClientError as error:
        print("refused:", error.response["ResponseMetadata"]["HTTPStatusCode"], error)
        return
    raise SystemExit("this was to be refused")


s3 = client(REGION)
s3.create_bucket(Bucket="bucket")
s3.put_object(Bucket="bucket", Key=ODD, Body=b"hello", Metadata={"of": "a  test"})
assert s3.get_object(Bucket="bucket", Key=ODD)["Body"].read() == b"hello"
assert s3.head_object(Bucket="bucket", Key=ODD)["Metadata"] == {"of": "a  test"}
listed = s3.list_objects_v2(Bucket="bucket", Prefix="dir/")["Contents"]
assert [entry["Key"] for entry in listed] == [ODD], listed

# Larger than one part: each part is a call of its own.
large = os.urandom(9 * 1024 * 1024)
s3.upload_fileobj(io.BytesIO(large), "bucket", "large")
assert s3.get_object(Bucket="bucket", Key="large")["Body"].read() == large

url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": ODD})
assert requests.get(url, timeout=30).content == b"hello"

refused(lambda: client("eu-west-1" if REGION != "eu-west-1" else "us-east-1").head_bucket(Bucket="bucket"))
refused(lambda: s3.delete_object(Bucket="bucket", Key=ODD))
assert s3.get_object(Bucket="bucket", Key=ODD)["Body"].read() == b"hello"
print("done")
