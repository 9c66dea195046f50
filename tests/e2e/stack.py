"""The stack of template.yaml on moto, and a judge of the calls that are made with its roles and policies.

    stack.py create ENDPOINT PARAMETERS.json    prints outputs, environments and policies as JSON
    stack.py judge STACK.json CALLS.jsonl       prints what is denied, and what is granted and not used
"""

import ast
import io
import json
import os
import sys
import zipfile
from pathlib import Path
from urllib.parse import parse_qsl

ROOT = Path(__file__).resolve().parents[2]
REGION, ACCOUNT = "us-east-1", "123456789012"
FUNCTIONS = {"consumer": "ConsumerRole", "notifier": "NotifierRole", "drill": "DrillRole"}
# moto cannot create these, and no permission depends on them.
WITHOUT = ("AWS::CloudWatch::Dashboard",)


def create(endpoint, parameters):
    import boto3

    def aws(service):
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, region_name=REGION, endpoint_url=endpoint, **keys)

    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("bootstrap", "")
    aws("s3").create_bucket(Bucket="code")
    aws("s3").put_object(Bucket="code", Key="code.zip", Body=code.getvalue())
    # moto has no secrets in stacks.
    secret = aws("secretsmanager").create_secret(Name="targets", SecretString="{}")["ARN"]
    topic = aws("sns").create_topic(Name="oncall")["TopicArn"]
    parameters |= {"ExistingCredentialsArn": secret, "FallbackTopicArns": topic}
    template = resolve(transform(), parameters)
    resources = {name: each for name, each in template["Resources"].items() if each["Type"] not in WITHOUT}
    for function in (each for each in resources.values() if each["Type"] == "AWS::Lambda::Function"):
        # A variable is a text; moto would keep the number.
        variables = function["Properties"]["Environment"]["Variables"]
        variables |= {name: str(value) for name, value in variables.items() if isinstance(value, int)}
    body = json.dumps(template | {"Resources": resources})
    # moto forgets defaults, which an update could not use then.
    values = {name: each.get("Default", "") for name, each in template["Parameters"].items()} | parameters
    aws("cloudformation").create_stack(
        StackName="stentor", TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": str(value)} for name, value in values.items()],
    )  # fmt: skip
    (stack,) = aws("cloudformation").describe_stacks(StackName="stentor")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    # moto has no subscriptions in stacks.
    filters = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::Logs::SubscriptionFilter"]
    for each in filters:
        aws("logs").put_subscription_filter(
            logGroupName=outputs["DrillLogGroup"], filterName=each["FilterName"], filterPattern=each["FilterPattern"],
            destinationArn=outputs["StreamArn"], roleArn=outputs["SubscriptionRoleArn"], distribution=each["Distribution"],
        )  # fmt: skip
    environments, policies = {}, {}
    for function in FUNCTIONS:
        found = aws("lambda").get_function_configuration(FunctionName=f"stentor-{function}")
        environments[function] = found["Environment"]["Variables"]
        role = found["Role"].rpartition("/")[2]
        names = aws("iam").list_role_policies(RoleName=role)["PolicyNames"]
        found = [aws("iam").get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
        policies[function] = list(map(document, found))
    for policy in ("Reader", "Operator", "Erasure"):
        arn = outputs[f"{policy}PolicyArn"]
        version = aws("iam").get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = aws("iam").get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        policies[policy.lower()] = [document(found)]
    return {"outputs": outputs, "environments": environments, "policies": policies}


def document(policy):
    """moto shows the policies of a stack as Python does."""
    return ast.literal_eval(policy) if isinstance(policy, str) else policy


def transform():
    """The template as CloudFormation gets it from SAM."""
    os.environ["AWS_DEFAULT_REGION"] = REGION
    from samcli.yamlhelper import yaml_parse
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    template = yaml_parse((ROOT / "template.yaml").read_text())
    template["Globals"]["Function"]["CodeUri"] = "s3://code/code.zip"
    template["Resources"]["Configuration"]["Properties"]["ContentUri"] = "s3://code/code.zip"
    defaults = {name: each.get("Default") for name, each in template["Parameters"].items()}
    return Translator({}, Parser()).translate(template, defaults)


def resolve(template, parameters):
    """The template with these parameters, without conditions and what they leave out, which moto does not know in all places."""
    values = {name: each.get("Default") for name, each in template["Parameters"].items()} | parameters
    missing = object()

    def value(node):
        match node:
            case {"Ref": str(name)} if name in values:
                is_list = template["Parameters"][name]["Type"] == "CommaDelimitedList"
                return str(values[name]).split(",") if is_list else values[name]
            case {"Fn::Equals": [left, right]}:
                return str(value(left)) == str(value(right))
            case {"Fn::Not": [condition]}:
                return not value(condition)
            case {"Fn::Join": [by, parts]}:
                return by.join(value(parts))
            case {"Fn::FindInMap": [mapping, first, second]}:
                return template["Mappings"][mapping][str(value(first))][value(second)]
        return node

    def kept(node):
        match node:
            case {"Fn::If": [condition, then, otherwise]}:
                return kept(then if conditions[condition] else otherwise)
            case {"Ref": "AWS::NoValue"}:
                return missing
            case {"Ref": str(name)} if name in values:
                return value(node)
            case {"Fn::FindInMap": _}:
                return value(node)
            case dict():
                pairs = ((name, kept(child)) for name, child in node.items())
                return {name: child for name, child in pairs if child is not missing}
            case list():
                return [child for child in map(kept, node) if child is not missing]
        return node

    def part(name):
        held = {key: each for key, each in template[name].items() if conditions.get(each.get("Condition"), True)}
        return {key: {at: kept(child) for at, child in each.items() if at != "Condition"} for key, each in held.items()}

    conditions = {name: value(condition) for name, condition in template["Conditions"].items()}
    return template | {"Resources": part("Resources"), "Outputs": part("Outputs"), "Conditions": {}}


def judge(stack, calls):
    """The calls that the policies of their principal do not allow, and the permissions of the program that no call needs."""
    import yaml
    from moto.iam.access_control import IAMPolicy, IAMPolicyStatement, PermissionResult

    permissions = yaml.safe_load((ROOT / "tests/template/permissions.yaml").read_text())
    # Services and people use the rest.
    left = {(role, action) for caller, roles, _, *actions in permissions for role in roles.split("|") for action in actions
            if caller in ("Lambda", "people")}  # fmt: skip
    roles = FUNCTIONS | {"reader": "ReaderPolicy", "operator": "OperatorPolicy", "erasure": "ErasurePolicy"}
    denied, used = set(), set()
    for call in calls:
        principal = call["principal"]
        if principal not in roles:
            continue
        # These have the policy of readers, too.
        holders = [principal] + ["reader"] * (principal in ("operator", "erasure"))
        for action, resource in actions(call, stack):
            # moto gives log groups an ARN without the `:*` of AWS.
            is_allowed = False
            for holder in holders:
                for document in stack["policies"][holder]:
                    answer = IAMPolicy({"policy_document": json.dumps(document)}).is_action_permitted(action, resource)
                    if answer == PermissionResult.DENIED:
                        denied.add(f"{principal}: {action} on {resource}")
                    elif answer == PermissionResult.PERMITTED:
                        is_allowed = True
                        used.add((holder, action, resource))
            if not is_allowed:
                denied.add(f"{principal}: {action} on {resource}")
    unused = set()
    for holder, documents in stack["policies"].items():
        for statement in (each for document in documents for each in document["Statement"]):
            for action, resource in ((a, r) for a in listed(statement["Action"]) for r in listed(statement["Resource"])):
                one = IAMPolicyStatement({"Effect": "Allow", "Action": action, "Resource": resource})
                is_used = any(holder == by and one.is_action_permitted(what, on) == PermissionResult.PERMITTED
                              for by, what, on in used)  # fmt: skip
                if not is_used and (roles[holder], action) not in left:
                    unused.add(f"{holder}: {action} on {resource}")
    return {"denied": sorted(denied), "unused": sorted(unused), "calls": len(calls)}


def actions(call, stack):
    """The actions and resources that a call needs, by AWS's service authorization reference."""
    service, operation = call["service"], call["target"].rpartition(".")[2]
    request = json.loads(call["body"] or "{}") if service != "sns" else dict(parse_qsl(call["body"]))
    of = lambda name, service=service: f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"  # noqa: E731
    match service, operation:
        case "dynamodb", "TransactWriteItems":
            kinds = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
            for ((kind, item),) in map(dict.items, request["TransactItems"]):
                yield f"dynamodb:{kinds[kind]}", of(f"table/{item['TableName']}")
        case "dynamodb", "BatchGetItem":
            for table in request["RequestItems"]:
                yield "dynamodb:BatchGetItem", of(f"table/{table}")
        case "dynamodb", _:
            index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
            yield f"dynamodb:{operation}", of(f"table/{request['TableName']}{index}")
        case "sqs", _:
            yield f"sqs:{operation.removesuffix('Batch')}", of(request["QueueUrl"].rpartition("/")[2])
        case "secretsmanager", _:
            yield f"secretsmanager:{operation}", request["SecretId"]
        case "sns", _:
            yield f"sns:{request['Action']}", request["TopicArn"]
        case "kinesis", "GetRecords":
            yield "kinesis:GetRecords", stack["outputs"]["StreamArn"]
        case "kinesis", _:
            yield f"kinesis:{operation}", request.get("StreamARN") or of(f"stream/{request['StreamName']}")
        case "logs", "DescribeAccountPolicies" | "DescribeSubscriptionFilters":
            yield f"logs:{operation}", "*"
        case "logs", _:
            yield f"logs:{operation}", of(f"log-group:{request['logGroupName']}")
        case "lambda", _ if "/event-source-mappings" in call["path"]:
            yield "lambda:ListEventSourceMappings", "*"
        case "lambda", _ if call["path"].endswith("/configuration"):
            yield "lambda:GetFunctionConfiguration", of(f"function:{call['path'].split('/')[3]}")
        case _:
            yield f"{service}:{operation or call['path']}", "unknown"


def listed(value):
    return value if isinstance(value, list) else [value]


match sys.argv[1:]:
    case ["create", endpoint, parameters]:
        print(json.dumps(create(endpoint, json.loads(Path(parameters).read_text()))))
    case ["judge", stack, calls]:
        lines = Path(calls).read_text().splitlines()
        print(json.dumps(judge(json.loads(Path(stack).read_text()), list(map(json.loads, lines)))))
    case _:
        sys.exit(__doc__)
