"""The handler that most teams run, up to its first poll: boto3 and requests imported, four clients made.

Lambda's own bootstrap is left out, in favor of this baseline: it polls with http.client itself.
"""

import http.client
import os

import boto3
import requests

CLIENTS = [boto3.client(name) for name in ("dynamodb", "sqs", "secretsmanager", "sns")]
SESSION = requests.Session()

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
api.request("GET", "/2018-06-01/runtime/invocation/next")
api.getresponse()
