"""cfn-lint rules for what cfn-lint cannot know: how template.yaml fits the program, its build and its configuration.

`.cfnlintrc` adds them to `sam validate --lint`. tests/tools/plant_faults.py shows that each of them can fail.
"""

import json
import re
import sys
import tomllib
from itertools import product
from pathlib import Path

import yaml
from cfnlint.decode.cfn_yaml import load
from cfnlint.rules import CloudFormationLintRule, RuleMatch
from jsonschema import Draft202012Validator

sys.path.insert(0, str(Path(__file__).parent))
from _evaluate import goes_off  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = load(ROOT / "tests/template/settings.yaml")
ALARMS = yaml.safe_load((ROOT / "tests/template/alarms.yaml").read_text())
PERMISSIONS = yaml.safe_load((ROOT / "tests/template/permissions.yaml").read_text())
OPERATOR_CODE = {"bin", "erase", "inspect", "log_line", "ops", "replay", "stack", "table"}  # modules that run with the permissions of an operator
ALARM = "Resources/AWS::CloudWatch::Alarm/Properties"
MISSING = object()


def rule(number, why):
    """Makes a rule from a function that yields the path and the text of each fault, and perhaps another reason."""

    def register(check):
        def match(self, cfn):
            faults = check(cfn.template)
            return [RuleMatch(list(path), f"{fault}. {(*reason, why)[0]}") for path, fault, *reason in faults]

        return type(check.__name__, (CloudFormationLintRule,), {"id": number, "shortdesc": why, "match": match})

    return register


@rule("E9101", "The template has the settings of tests/template/settings.yaml.")
def settings(template):
    for start, schemas in SETTINGS.items():
        for end, schema in schemas.items():
            for path, value in walk(template, f"{start}/{end}"):
                if (value is MISSING) != ("not" in schema):
                    yield path, f"{end} {'is missing' if value is MISSING else 'must not be set'}", schema["why"]
                elif value is not MISSING:
                    for error in Draft202012Validator(schema).iter_errors(value):
                        yield path, f"{end}: {error.message}", schema["why"]


@rule("E9102", "Operators need time to replay records from the stream, and a row must outlive each copy of its alert.")
def retention(template):
    (days,) = program(r"const DAYS: u16 = (\d+)")
    parameter = at(template, "Parameters/AlertsRetentionDays")
    if parameter["Default"] != int(days):
        yield ("Parameters", "AlertsRetentionDays"), f"The program keeps a row for {days} days by default"
    rows = parameter["MinValue"] * 86_400
    parked = at(template, "Resources/DeadLetters/Properties/MessageRetentionPeriod")
    bucket = at(template, "Resources/FailedBatches/Properties/LifecycleConfiguration/Rules/0/ExpirationInDays")
    parked = max(parked, bucket * 86_400)
    for hours in at(template, "Parameters/StreamRetentionHours/AllowedValues"):
        stream, age = int(hours) * 3_600, at(template, f"Mappings/Retention/{hours}/RecordAgeMaxSeconds")
        path = "Mappings", "Retention", hours
        if not 60 <= age <= min(stream / 2, 604_800):
            yield path, f"Lambda retries for {age} s, and the stream keeps records for {stream} s"
        if rows < stream + parked:
            yield path, f"A row expires after {rows} s, and its record may come back after {stream + parked} s"


@rule("E9103", "A due message must survive six hours of outage before SQS parks it.")
def redrive(template):
    receives = at(template, "Resources/DueMessages/Properties/RedrivePolicy/maxReceiveCount")
    policy = r"RetryPolicy::new\(Duration::from_millis\((\d+)\), Duration::from_secs\((\d+)\)\)"
    ((first, longest),) = program(policy, "protocol/backoff.rs")
    pauses = [min(int(first) / 1_000 * 2**failures, int(longest)) for failures in range(receives)]
    seconds = sum(pauses) / 2  # jitter may halve a pause
    if seconds < 6 * 3_600:
        yield ("Resources", "DueMessages"), f"{receives} receives may take only {seconds:.0f} s"


@rule("E9104", "The tests create tables in the shape that the program gives them, and know no other.")
def tables(template):
    parts = [at(template, f"Resources/{table}/Properties") for table in ("AppLogs", "Outbox")]
    indexes = [index for table in parts for index in table.get("GlobalSecondaryIndexes", [])]
    keys = {(key["AttributeName"], key["KeyType"]) for part in parts + indexes for key in part["KeySchema"]}
    columns = [(index["IndexName"], index["Projection"]["NonKeyAttributes"]) for index in indexes]
    source_keys = {(name, kind.upper()) for name, kind in program(r'key\("(\w+)", KeyType::(\w+)\)', "table.rs")}
    (names,), (index,) = program(r"BY_HOUR_COLUMNS: [^=]* = \[(.*?)\]", "table.rs"), program(r'index_name\("(\w+)"\)')
    if (keys, columns) != (source_keys, [(index, re.findall(r"\w+", names))]):
        yield ("Resources", "AppLogs"), "The keys, the index or its columns differ from table.rs"


@rule("E9105", "A role has the permissions of tests/template/permissions.yaml and no others.")
def permissions(template):
    everywhere, functions = (program(r"\bclient\s*\.\s*(\w+)\(\)", without=left) for left in ((), OPERATOR_CODE))
    callers = {caller: roles for caller, roles, *_ in PERMISSIONS}
    for call in sorted({*everywhere} - callers.keys()):
        yield ("Resources",), f"The call {call} is not in permissions.yaml"
    needed, granted = set(), set()
    for caller, roles, resource, *actions in PERMISSIONS:
        for role in roles.split("|"):
            calls = everywhere if role.endswith("Policy") else functions
            if caller in calls or caller in ("Lambda", "CloudWatch Logs", "people"):
                needed |= set(product([role], actions, resource.split("|")))
    for policies in ("Role/Properties/Policies/*", "ManagedPolicy/Properties"):
        for path, statement in walk(template, f"Resources/AWS::IAM::{policies}/PolicyDocument/Statement/*"):
            if statement["Effect"] == "Allow":
                resources = map(name, listed(statement["Resource"]))
                granted |= set(product([path[1]], listed(statement["Action"]), resources))
    for role, action, resource in sorted(needed ^ granted):
        fault = "missing" if (role, action, resource) in needed else "not needed"
        yield ("Resources", role), f"{action} on {resource} is {fault}"


@rule("E9106", "`sam build` must build the functions alone, and a panic in one record must not end the process.")
def build(template):
    cargo, cargo_lambda = (tomllib.loads((ROOT / file).read_text()) for file in ("Cargo.toml", "CargoLambda.toml"))
    name = at(template, "Resources/Consumer/Metadata/BuildProperties/Binary")
    required = {"libdeflate"}.union(*(each["required-features"] for each in cargo["bin"] if each["name"] == name))
    options, path = cargo_lambda["build"], ("Resources", "Consumer", "Metadata")
    if "cli" in options["features"] or not required <= set(options["features"]):
        yield path, f"CargoLambda.toml builds {options['features']}, and {name} needs {sorted(required)}"
    if not options["no_default_features"] or not options["locked"]:
        yield path, "CargoLambda.toml must build locked and without default features"
    profile = cargo["profile"][options.get("profile", "release")]
    base = cargo["profile"].get(profile.get("inherits"), {})
    if profile.get("panic", base.get("panic")) != "unwind":  # cargo-lambda's default is "abort"
        yield path, "The profile in Cargo.toml must set panic to unwind"


@rule("E9107", "The template and the program must agree on names.")
def names(template):
    default = at(template, "Parameters/ConfigurationPath/Default")
    if not (ROOT / "config" / default.removeprefix("/opt/")).is_file():
        yield ("Parameters", "ConfigurationPath"), f"config/ has no file for {default}"
    sweep = at(template, "Resources/Notifier/Properties/Events/Sweep/Properties")
    if json.loads(sweep.get("Input", "{}")) != json.loads((ROOT / "events/sweep.json").read_text()):
        yield ("Resources", "Notifier"), "The sweep's Input differs from events/sweep.json"
    variables = at(template, "Resources/Consumer/Properties/Environment/Variables").keys() - {"AWS_ENDPOINT_URL"}
    expiry = at(template, "Resources/Outbox/Properties/TimeToLiveSpecification/AttributeName")
    used = set(program(r'"(\w+)"'))
    for unknown in sorted({*variables, expiry} - used):
        yield ("Resources",), f"The program does not use {unknown}"


@rule("E9108", "Everything that can lose or delay an alert has an alarm, on a metric that exists.")
def alarms(template):
    found = {path[1]: (path, alarm) for path, alarm in walk(template, ALARM)}
    for unknown in sorted(found.keys() ^ ALARMS.keys()):
        yield found.get(unknown, [("Resources",)])[0], f"{unknown} is only in the template or only in alarms.yaml"
    program(r'NAMESPACE: &str = "Stentor"', "emf.rs")
    program(r'emf::line\(&\["function"\]', "metric.rs")
    written = {*program(r'(?:count|milliseconds)\("(\w+)", ', "metric.rs")}
    for alarm, (path, properties) in found.items():
        expected = ALARMS.get(alarm, {})
        if watched(properties) != expected.get("watches"):
            yield path, f"{alarm} watches {watched(properties)}, and alarms.yaml says {expected.get('watches')}"
        if ("OKActions" in properties) == expected.get("event", False):
            yield path, f"{alarm} must report its end unless it reports an event"
        for metric in re.findall(r"^Stentor (\w+) ", str(watched(properties))):
            if metric not in written:
                yield path, f"The program does not write {metric}"


@rule("E9109", "The description of an alarm leads to its section in the manual.")
def runbook(template):
    manual = (ROOT / "docs/operations.md").read_text()
    sections = {heading: text for heading, text in re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", manual, re.M | re.S)}
    for path, alarm in walk(template, ALARM):
        description = at(alarm, "AlarmDescription")
        if not str(description.get("Fn::Sub")).endswith(f" ${{RunbookUrl}}#{path[1].lower()}"):
            yield (*path, "AlarmDescription"), f"The description of {path[1]} does not end with its section"
        for part in ("**Look**", "**Do**", "**Over**"):
            if part not in sections.get(path[1], ""):
                yield path, f"docs/operations.md has no section {path[1]} with {part}"
    for gone in sorted({each for each in sections if each.endswith("Alarm")} - template["Resources"].keys()):
        yield ("Resources",), f"docs/operations.md describes {gone}, which the template does not have"


@rule("E9110", "An alarm goes off on the series of alarms.yaml that it is for, and on no other.")
def series(template):
    for path, alarm in walk(template, ALARM):
        expected = ALARMS.get(path[1], {})
        if not goes_off(alarm, expected.get("fires", [])):
            yield path, f"{path[1]} does not go off on {expected.get('fires')}"
        if goes_off(alarm, expected.get("quiet", [])):
            yield path, f"{path[1]} goes off on {expected.get('quiet')}"


@rule("E9111", "Lambda must not throttle the notifier, because SQS counts a throttled message as received.")
def concurrency(template):
    for reserved in at(template, "Parameters/NotifierConcurrency/AllowedValues"):
        queue = at(template, f"Mappings/NotifierConcurrency/{reserved}/Queue")
        if not 2 <= queue < (int(reserved) or 1_000):
            yield ("Mappings", "NotifierConcurrency", reserved), f"The queue may use {queue} of {reserved}"


@rule("E9112", "A reader copies the commands of documents: outputs exist, and subscriptions use all shards.")
def commands(template):
    for document in ("docs/deploy.md", "docs/operations.md"):
        code = "\n".join(re.findall(r"^```sh\n(.*?)^```", (ROOT / document).read_text(), re.M | re.S))
        for output in sorted({*re.findall(r"\$([A-Z][a-z]\w+)", code)} - template["Outputs"].keys()):
            yield ("Outputs",), f"{document} uses ${output}, which is no output"
        for command in re.findall(r"^aws logs put-(?:subscription|account).*(?:\\\n.*|\n +.*)*", code, re.M):
            if "Random" not in command:
                yield ("Outputs",), f"{document} subscribes without Random: {command}"


def watched(alarm):
    """What an alarm watches, in the words of alarms.yaml."""
    if "Metrics" not in alarm:
        return one_metric(alarm, alarm["Statistic"])
    inputs = {"expression": metric["Expression"] for metric in alarm["Metrics"] if "Expression" in metric}
    if isinstance(inputs["expression"], dict):
        inputs["expression"] = inputs["expression"]["Fn::Sub"][0]
    stats = {metric["Id"]: metric["MetricStat"] for metric in alarm["Metrics"] if "MetricStat" in metric}
    return inputs | {one: one_metric(stat["Metric"], stat["Stat"]) for one, stat in stats.items()}


def one_metric(metric, statistic):
    dimensions = " ".join(f"{by['Name']}={name(by['Value'])}" for by in metric["Dimensions"])
    return f"{metric['Namespace']} {metric['MetricName']} {statistic} {dimensions}"


def program(pattern, file="*.rs", without=()):
    """What a pattern finds in the program's source. A rule that finds nothing has lost its subject, and fails."""
    files = [path for path in sorted((ROOT / "src").rglob(file)) if not {*path.relative_to(ROOT).parts, path.stem} & {*without}]
    found = [text for path in files for text in re.findall(pattern, on_one_line(path.read_text(encoding="utf-8")))]
    if not found:
        raise ValueError(f"src/**/{file} does not contain {pattern}")
    return found


def on_one_line(source):
    """A source text without the line breaks of its format: `f(\\n    a,\\n)` becomes `f(a)`."""
    return re.sub(r",? ([)\]}])", r"\1", re.sub(r"([(\[{]) ", r"\1", re.sub(r"\s+", " ", source)))


def walk(node, way, path=()):
    """The path and the value of each place that a way leads to; the value is MISSING where the way ends early."""
    segment, _, rest = way.partition("/")
    if isinstance(node, dict) and "Fn::If" in node:
        for index in (1, 2):
            yield from walk(node["Fn::If"][index], way, (*path, "Fn::If", index))
    elif node == {"Ref": "AWS::NoValue"}:
        return
    elif not way:
        yield path, node
    elif isinstance(node, str):
        for _, value in walk(json.loads(node), way):
            yield path, value
    else:
        children = dict(enumerate(node)) if isinstance(node, list) else node
        for choice in segment.split("|"):
            found = [key for key, child in children.items() if choice in ("*", str(key), resource_type(child))]
            for key in found:
                yield from walk(children[key], rest, (*path, key))
            if not found:
                yield path, MISSING


def resource_type(node):
    return node.get("Type") if isinstance(node, dict) else None


def at(template, way):
    ((_, value),) = walk(template, way)
    if value is MISSING:
        raise KeyError(f"the template has no {way}")
    return value


def name(value):
    """The logical id of the resource that a value refers to, and the attribute if it is not the ARN."""
    match value:
        case {"Ref": resource} | {"Fn::GetAtt": [resource, "Arn"]}:
            return resource
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"{resource}.{attribute}"
        case {"Fn::If": [_, created, {"Fn::Sub": str(adopted)} | {"Ref": adopted}]} if "Existing" in adopted:
            return name(created)
        case "*":
            return "all"
        case {"Fn::Sub": str(text)}:
            return text
        case _:
            return json.dumps(value)


def listed(value):
    return value if isinstance(value, list) else [value]
