"""AWS Secrets Manager as moto plays it, over TLS, with signatures and permissions checked: CERTIFICATE KEY AUTHORITY.

Prints one line when ready, with the access key of a user who may only read. Each line on stdin is a new value of the secret.
"""

import json
import os
import sys
import threading

import boto3
import urllib.request
import ssl
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

certificate, key, authority = sys.argv[1:4]
application = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=(certificate, key))
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"https://127.0.0.1:{server.port}"


def client(service, access):
    return boto3.client(service, endpoint_url=url, region_name="eu-west-1", verify=authority,
                        aws_access_key_id=access["AccessKeyId"], aws_secret_access_key=access["SecretAccessKey"])


def user(name, action):
    anybody = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "nobody-checks-it-yet"}
    iam = client("iam", anybody)
    iam.create_user(UserName=name)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    access = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AccessKeyId": access["AccessKeyId"], "SecretAccessKey": access["SecretAccessKey"]}


reader, writer, other = (user(*one) for one in [("r", "secretsmanager:GetSecretValue"), ("w", "secretsmanager:*"), ("o", "s3:*")])
secrets = client("secretsmanager", writer)
secrets.create_secret(Name="app/api", SecretString=json.dumps({"key": os.environ["SECRET"]}))
# From here on signatures and permissions are checked.
context = ssl.create_default_context(cafile=authority)
reset = urllib.request.Request(f"{url}/moto-api/reset-auth", data=b"0", headers={"content-type": "text/plain"})
urllib.request.urlopen(reset, context=context).read()
print(json.dumps({"port": server.port, "reader": reader, "other": other}), flush=True)
for line in sys.stdin:
    secrets.put_secret_value(SecretId="app/api", SecretString=json.dumps({"key": line.strip()}))
    print("done", flush=True)
