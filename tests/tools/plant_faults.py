"""Plants faults in template.yaml and requires that the rules in tests/template find each: every rule can fail."""

import copy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/template"))
import rules  # noqa: E402
from cfnlint.decode import decode  # noqa: E402
from cfnlint.template import Template  # noqa: E402

CHECKS = {check.id: check() for check in vars(rules).values() if getattr(check, "id", None)}
FAULTS = [
    ("E9102", "Mappings/Retention/72/RecordAgeMaxSeconds", 259_200),
    ("E9102", "Resources/DeadLetters/Properties/MessageRetentionPeriod", 90 * 86_400),
    ("E9102", "Resources/FailedBatches/Properties/LifecycleConfiguration/Rules/0/ExpirationInDays", 90),
    ("E9102", "Parameters/AlertsRetentionDays/MinValue", 20),
    ("E9102", "Parameters/AlertsRetentionDays/Default", 30),
    ("E9103", "Resources/DueMessages/Properties/RedrivePolicy/maxReceiveCount", 5),
    ("E9104", "Resources/Outbox/Properties/KeySchema/1/AttributeName", "sort"),
    ("E9104", "Resources/AppLogs/Properties/GlobalSecondaryIndexes/0/Projection/NonKeyAttributes/0", "message"),
    ("E9105", "Resources/ConsumerRole/Properties/Policies/0/PolicyDocument/Statement/1/Action/0", "dynamodb:*"),
    ("E9105", "Resources/NotifierRole/Properties/Policies/0/PolicyDocument/Statement/0/Resource", "*"),
    ("E9105", "Resources/NotifierRole/Properties/Policies/0/PolicyDocument/Statement/4/Fn::If/1/Effect", "Deny"),
    ("E9106", "Resources/Consumer/Metadata/BuildProperties/Binary", "stentor"),
    ("E9107", "Parameters/ConfigurationPath/Default", "/opt/missing.toml"),
    ("E9107", "Resources/Consumer/Properties/Environment/Variables/DEAD_LETTERS_URL", "not read"),
    ("E9107", "Resources/Notifier/Properties/Events/Sweep/Properties/Input", '{"stentor": "swep"}'),
    ("E9108", "Resources/LagAlarm/Properties/MetricName", "IteratorAgeMilliseconds"),
    ("E9108", "Resources/SweepAlarm/Properties/Dimensions/0/Value/Ref", "Consumer"),
    ("E9108", "Resources/StoppedAlarm/Properties/Metrics/1/MetricStat/Stat", "Average"),
    ("E9108", "Resources/BooksAlarm/Properties/OKActions", []),
    ("E9109", "Resources/LagAlarm/Properties/AlarmDescription", {"Fn::Sub": "Records wait. ${RunbookUrl}#lag"}),
    ("E9110", "Resources/ConsumerThrottlesAlarm/Properties/TreatMissingData", "breaching"),
    ("E9110", "Resources/DueAlarm/Properties/EvaluationPeriods", 1),
    ("E9110", "Resources/SweepAlarm/Properties/TreatMissingData", "notBreaching"),
    ("E9110", "Resources/StoppedAlarm/Properties/Metrics/0/Expression", "IF(incoming > 0 AND invocations == 0, 1, 0)"),
    ("E9110", "Resources/TableThrottlesAlarm/Properties/Metrics/0/Expression", "FILL(alerts, 0) + FILL(outbox, 0)"),
    ("E9110", "Resources/BehindAlarm/Properties/Threshold", 2_000_000),
    ("E9112", "Outputs", {}),
    ("E9111", "Mappings/NotifierConcurrency/11/Queue", 11),
    ("E9105", "Resources/ConsumerRole/Properties/Policies/0/PolicyDocument/Statement/1/Resource/Fn::If/2/Fn::Sub", "*"),
]


def setting_faults(template):
    """For each place that settings.yaml names: another value, or any value where there must be none."""
    for start, schemas in rules.SETTINGS.items():
        for end, schema in schemas.items():
            for path, value in rules.walk(template, f"{start}/{end}"):
                absent = end.split("/")[-1].split("|") if "not" in schema else []
                for way in [(*path, name) for name in absent] or [path]:
                    yield "E9101", "/".join(map(str, way)), 1_000_000 if isinstance(value, int) else "planted"


def finds(check, clean, way, value):
    planted = copy.deepcopy(clean)
    *steps, last = [int(step) if step.isdigit() and len(step) == 1 else step for step in way.split("/")]
    node = planted.template
    for step in steps:
        node = node[step]
    node[last] = value
    try:
        return bool(check.match(planted))
    except ValueError:  # not JSON; cfn-lint reports an exception, too
        return True


clean = Template(None, decode(str(ROOT / "template.yaml"))[0], ["us-east-1"], None)
clean.transform()
faults = [*setting_faults(clean.template), *FAULTS]
missed = [f"{fault[0]} misses {fault[1:]}" for fault in faults if not finds(CHECKS[fault[0]], clean, *fault[1:])]
missed += [f"{number} is never tried" for number in CHECKS.keys() - {fault[0] for fault in faults}]
print(*missed, f"{len(faults)} planted faults, {len(missed)} missed", sep="\n")
sys.exit(bool(missed))
