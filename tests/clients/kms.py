"""AWS KMS as moto plays it, over TLS, with signatures and permissions checked: CERTIFICATE KEY AUTHORITY.

Prints one line when ready: the key's id, and access keys of a user who may use it and of one who may not. Each line on stdin
does something to the key: disable, enable, throttle, serve, forbid, permit. What moto leaves out is added in front of it, as the API
reference has it: a disabled key does nothing, and calls are throttled.
"""

import json
import ssl
import sys
import threading
import urllib.request

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

certificate, key_file, authority = sys.argv[1:4]
moto = DomainDispatcherApplication(create_backend_app)
fault = {"name": None}


def application(environ, start_response):
    action = environ.get("HTTP_X_AMZ_TARGET", "")
    if fault["name"] and action in ("TrentService.Encrypt", "TrentService.Decrypt"):
        start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
        return [json.dumps({"__type": fault["name"], "message": "as the API reference has it"}).encode()]
    return moto(environ, start_response)


server = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=(certificate, key_file))
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"https://127.0.0.1:{server.port}"


def client(service, access):
    return boto3.client(service, endpoint_url=url, region_name="eu-west-1", verify=authority,
                        aws_access_key_id=access["AccessKeyId"], aws_secret_access_key=access["SecretAccessKey"])


nobody = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "nobody-checks-it-yet"}
iam = client("iam", nobody)


def permit(name, action, who=iam):
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
    who.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))


def user(name, action):
    iam.create_user(UserName=name)
    permit(name, action)
    access = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AccessKeyId": access["AccessKeyId"], "SecretAccessKey": access["SecretAccessKey"]}


may, may_not, root = user("may", ["kms:Encrypt", "kms:Decrypt"]), user("may-not", "s3:*"), user("root", "*")
kms = client("kms", root)
key = kms.create_key()["KeyMetadata"]["KeyId"]
other = kms.create_key()["KeyMetadata"]["KeyId"]
# From here on signatures and permissions are checked.
context = ssl.create_default_context(cafile=authority)
reset = urllib.request.Request(f"{url}/moto-api/reset-auth", data=b"0", headers={"content-type": "text/plain"})
urllib.request.urlopen(reset, context=context).read()
print(json.dumps({"port": server.port, "key": key, "other": other, "may": may, "may-not": may_not}), flush=True)
iam = client("iam", root)
for line in sys.stdin:
    match line.strip():
        case "disable":
            fault["name"] = "DisabledException"
        case "throttle":
            fault["name"] = "ThrottlingException"
        case "enable" | "serve":
            fault["name"] = None
        case "forbid":
            permit("may", "s3:*", iam)
        case "permit":
            permit("may", ["kms:Encrypt", "kms:Decrypt"], iam)
    print("done", flush=True)
