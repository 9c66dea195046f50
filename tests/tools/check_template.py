#!/usr/bin/env python3
"""Checks template.yaml for what linters miss: `check_template.py [TEMPLATE]`.

Each rule is a sentence and the function below it. It holds for the default of every parameter and for everything else
that the parameters allow. A rule comes with ways to break it; before a template is believed, each rule is shown the
template broken in each of its ways and has to notice. Prints a line per rule; exit code 1 if one does not hold or
did not notice, 2 if a file cannot be read.

Needs PyYAML (the environment of aws-sam-cli has it).
"""

import copy
import json
import re
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3_600
DAY = 24 * HOUR

ROLES = {"Consumer": "ConsumerRole", "Notifier": "NotifierRole"}


def both(*grants):
    return {function: set(grants) for function in ROLES}


# What each call of the program needs, by the function that makes it, on which resource of the template. A transaction
# needs what its parts need. With a due queue the consumer commits and arms, and everything else is the notifier's.
CALLS = {
    "batch_get_item": {"Consumer": {("dynamodb:BatchGetItem", "AppLogs")}},
    "get_item": both(("dynamodb:GetItem", "Outbox")),
    "put_item": both(("dynamodb:PutItem", "Outbox")),
    # The consumer's is the first call of every process, `warm`.
    "query": both(("dynamodb:Query", "Outbox")),
    "update_item": both(("dynamodb:UpdateItem", "Outbox")),
    "transact_write_items": {
        "Consumer": {("dynamodb:PutItem", "AppLogs"), ("dynamodb:PutItem", "Outbox")},
        "Notifier": {
            ("dynamodb:PutItem", "Outbox"),
            ("dynamodb:UpdateItem", "Outbox"),
            ("dynamodb:DeleteItem", "Outbox"),
        },
    },
    "send_message": both(("sqs:SendMessage", "DueMessages")),
    "change_message_visibility": {"Notifier": {("sqs:ChangeMessageVisibility", "DueMessages")}},
    "send_message_batch": both(("sqs:SendMessage", "DeadLetters")),
    "get_secret_value": {"Notifier": {("secretsmanager:GetSecretValue", "Credentials")}},
    "publish": {"Notifier": {("sns:Publish", "FallbackTopicArn")}},
    # Only tests and the embedded engine make tables.
    "create_table": {},
}

# What Lambda does in a function's name: it reads what triggers it, parks what it gives up on, and writes the log.
PLATFORM = {
    "Consumer": {
        ("kinesis:DescribeStream", "Stream"),
        ("kinesis:DescribeStreamSummary", "Stream"),
        ("kinesis:GetRecords", "Stream"),
        ("kinesis:GetShardIterator", "Stream"),
        ("kinesis:ListShards", "Stream"),
        ("sqs:SendMessage", "DeadLetters"),
        ("logs:CreateLogStream", "ConsumerLogs"),
        ("logs:PutLogEvents", "ConsumerLogs"),
    },
    "Notifier": {
        ("sqs:ReceiveMessage", "DueMessages"),
        ("sqs:DeleteMessage", "DueMessages"),
        ("sqs:GetQueueAttributes", "DueMessages"),
        ("logs:CreateLogStream", "NotifierLogs"),
        ("logs:PutLogEvents", "NotifierLogs"),
    },
}

# Where the program calls AWS.
CALLERS = ["src/store/**/*.rs", "src/queue/**/*.rs", "src/notify/**/*.rs", "src/secret.rs"]

# What is watched, and of what.
ALARMS = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "DeadLetters"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "DeadLetters"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "DueMessages"),
    ("AWS/Lambda", "IteratorAge", "Consumer"),
    ("AWS/Lambda", "Errors", "Consumer"),
    ("AWS/Lambda", "Errors", "Notifier"),
    ("AWS/Lambda", "Throttles", "Notifier"),
    ("AWS/Lambda", "DestinationDeliveryFailures", "Consumer"),
    ("AWS/Events", "Invocations", "NotifierSweep"),
    ("AWS/Kinesis", "WriteProvisionedThroughputExceeded", "Stream"),
    ("AWS/Logs", "DeliveryErrors", None),
    ("Stentor", "messages_retried", "Notifier"),
    ("Stentor", "messages_parked", "Notifier"),
    ("Stentor", "unbalanced", "Consumer"),
    ("Stentor", "events_own", "Consumer"),
}

# By which dimension a metric is told apart, and what of a resource stands there.
DIMENSIONS = {
    "AWS/SQS": ("QueueName", lambda name: {"Fn::GetAtt": f"{name}.QueueName"}),
    "AWS/Lambda": ("FunctionName", lambda name: {"Ref": name}),
    "AWS/Events": ("RuleName", lambda name: {"Ref": name}),
    "AWS/Kinesis": ("StreamName", lambda name: {"Ref": name}),
    "Stentor": ("function", lambda name: {"Ref": name}),
}

RULES = []


def rule(*ways_to_break):
    """Each way is a path into the template and what to put there; GONE removes it."""

    def register(check):
        RULES.append((check, ways_to_break))
        return check

    return register


GONE = object()
CONSUMER = "Resources/Consumer/Properties"
NOTIFIER = "Resources/Notifier/Properties"
MAPPING = f"{CONSUMER}/Events/Stream/Properties"
DUE_MAPPING = f"{NOTIFIER}/Events/Due/Properties"
SWEEP = f"{NOTIFIER}/Events/Sweep/Properties"
DUE_MESSAGES = "Resources/DueMessages/Properties"
DEAD_LETTERS = "Resources/DeadLetters/Properties"
STATEMENTS = "Resources/ConsumerRole/Properties/Policies/0/PolicyDocument/Statement"
NOTIFIER_STATEMENTS = "Resources/NotifierRole/Properties/Policies/0/PolicyDocument/Statement"
SUBSCRIPTION = "Resources/SubscriptionRole/Properties"
TRUST = f"{SUBSCRIPTION}/AssumeRolePolicyDocument"
SECRET = "Resources/Credentials/Properties/SecretString"
VARIABLES = "Globals/Function/Environment/Variables"
TO_DEAD_LETTERS = {"Type": "SQS", "Destination": {"Fn::GetAtt": "DeadLetters.Arn"}}
BUILT = {"BuildMethod": "rust-cargolambda", "BuildProperties": {"Binary": "stentor-lambda"}}


# ---- The mapping ---------------------------------------------------------------------------------


@rule(
    (f"{MAPPING}/MaximumRecordAgeInSeconds", 59),
    (f"{MAPPING}/MaximumRecordAgeInSeconds", -1),
    (f"{MAPPING}/MaximumRecordAgeInSeconds", 48 * HOUR),
    ("Mappings/Retention/72/RecordAgeMaxSeconds", 72 * HOUR),
    ("Parameters/StreamRetentionHours/AllowedValues/0", "24"),
)
def the_mapping_gives_up_on_a_record_while_people_can_still_replay_it_from_the_stream(template):
    for parameters in template.worlds():
        age = template.value(f"{MAPPING}/MaximumRecordAgeInSeconds", parameters)
        retention = int(template.value("Resources/Stream/Properties/RetentionPeriodHours", parameters)) * HOUR
        # Lambda's bounds, which cfn-lint does not know.
        expect(60 <= age <= 604_800, f"gives up after {age} s")
        expect(age <= retention / 2, f"gives up after {age} s, and the stream forgets after {retention} s")


@rule((f"{MAPPING}/StartingPosition", "LATEST"), (f"{MAPPING}/StartingPosition", "TRIM_HORIZN"))
def the_mapping_starts_with_the_oldest_record(template):
    equal(template.value(f"{MAPPING}/StartingPosition"), "TRIM_HORIZON")


@rule((f"{MAPPING}/FunctionResponseTypes", GONE), (f"{MAPPING}/FunctionResponseTypes", ["ReportBatchItemFailure"]))
def the_mapping_listens_to_which_record_failed(template):
    equal(template.value(f"{MAPPING}/FunctionResponseTypes"), ["ReportBatchItemFailures"])


@rule((f"{MAPPING}/BisectBatchOnFunctionError", GONE), (f"{MAPPING}/BisectBatchOnFunctionError", False))
def a_batch_that_fails_is_split(template):
    equal(template.value(f"{MAPPING}/BisectBatchOnFunctionError"), True)


@rule((f"{MAPPING}/MaximumRetryAttempts", 10), (f"{MAPPING}/MaximumRetryAttempts", GONE))
def the_mapping_does_not_count_attempts(template):
    equal(template.value(f"{MAPPING}/MaximumRetryAttempts"), -1)


@rule(
    (f"{MAPPING}/DestinationConfig", GONE),
    (f"{MAPPING}/DestinationConfig/OnFailure/Type", "SNS"),
    (f"{MAPPING}/DestinationConfig/OnFailure/Destination", {"Fn::GetAtt": "Stream.Arn"}),
)
def what_the_mapping_gives_up_on_is_parked(template):
    equal(template.value(f"{MAPPING}/DestinationConfig/OnFailure"), TO_DEAD_LETTERS)


@rule((f"{MAPPING}/FilterCriteria", {"Filters": []}), (f"{MAPPING}/TumblingWindowInSeconds", 60))
def no_filter_drops_gzip_and_no_tumbling_window_can_suspend_a_shard(template):
    for name in ["FilterCriteria", "TumblingWindowInSeconds"]:
        expect(template.value(f"{MAPPING}/{name}") is None, f"{name} is set")


@rule(
    (f"{MAPPING}/MaximumBatchingWindowInSeconds", 0),
    (f"{MAPPING}/MaximumBatchingWindowInSeconds", 31),
    (f"{MAPPING}/BatchSize", 10_001),
)
def batches_are_of_a_size_that_lambda_takes_and_do_not_wait_for_long(template):
    expect(1 <= template.value(f"{MAPPING}/BatchSize") <= 10_000, "BatchSize")
    expect(1 <= template.value(f"{MAPPING}/MaximumBatchingWindowInSeconds") <= 30, "MaximumBatchingWindowInSeconds")


@rule((f"{MAPPING}/Stream", {"Ref": "Stream"}), (f"{MAPPING}/Enabled", False))
def the_mapping_reads_the_stream(template):
    equal(template.value(f"{MAPPING}/Stream"), {"Fn::GetAtt": "Stream.Arn"})
    expect(template.value(f"{MAPPING}/Enabled") is not False, "it is disabled")


# ---- The due queue and its mapping ---------------------------------------------------------------


@rule(
    (f"{DUE_MESSAGES}/VisibilityTimeout", GONE),
    (f"{DUE_MESSAGES}/VisibilityTimeout", 359),
    ("Globals/Function/Timeout", 61),
)
def a_due_message_is_invisible_for_six_times_as_long_as_a_function_may_take(template):
    timeout = template.value("Globals/Function/Timeout")
    expect(template.value(f"{NOTIFIER}/Timeout") is None, "the notifier has a time-out of its own")
    visibility = template.value(f"{DUE_MESSAGES}/VisibilityTimeout")
    expect(visibility >= 6 * timeout, f"visible after {visibility} s, and a function may take {timeout} s")


@rule(
    (f"{DUE_MESSAGES}/RedrivePolicy", GONE),
    (f"{DUE_MESSAGES}/RedrivePolicy/maxReceiveCount", 5),
    (f"{DUE_MESSAGES}/RedrivePolicy/maxReceiveCount", 1_001),
    (f"{DUE_MESSAGES}/RedrivePolicy/deadLetterTargetArn", {"Fn::GetAtt": "Stream.Arn"}),
)
def a_due_message_survives_hours_of_outage_before_it_is_parked(template):
    redrive = template.value(f"{DUE_MESSAGES}/RedrivePolicy")
    equal(redrive["deadLetterTargetArn"], {"Fn::GetAtt": "DeadLetters.Arn"})
    close = source("src/close.rs")
    first = int(re.search(r"BACKOFF_FIRST: Duration = Duration::from_millis\((\d+)\)", close).group(1)) / 1_000
    longest = int(re.search(r"BACKOFF_MAX: Duration = Duration::from_secs\((\d+)\)", close).group(1))
    # Jitter takes up to half of a pause.
    pauses = [min(first * 2**failures, longest) / 2 for failures in range(redrive["maxReceiveCount"])]
    expect(sum(pauses) >= 6 * HOUR, f"parked after {sum(pauses)} s")
    expect(redrive["maxReceiveCount"] <= 1_000, "SQS counts to a thousand")


@rule(
    (f"{DUE_MESSAGES}/MessageRetentionPeriod", GONE),
    (f"{DUE_MESSAGES}/SqsManagedSseEnabled", GONE),
    (f"{DUE_MESSAGES}/DelaySeconds", 30),
)
def the_due_queue_keeps_messages_encrypted_and_delays_none_by_itself(template):
    equal(template.value(f"{DUE_MESSAGES}/MessageRetentionPeriod"), 14 * DAY)
    equal(template.value(f"{DUE_MESSAGES}/SqsManagedSseEnabled"), True)
    expect(template.value(f"{DUE_MESSAGES}/DelaySeconds") is None, "every message is delayed")


@rule(
    (f"{DUE_MAPPING}/FunctionResponseTypes", GONE),
    (f"{DUE_MAPPING}/FunctionResponseTypes", ["ReportBatchItemFailure"]),
)
def the_due_mapping_listens_to_which_message_must_come_back(template):
    equal(template.value(f"{DUE_MAPPING}/FunctionResponseTypes"), ["ReportBatchItemFailures"])


@rule(
    (f"{DUE_MAPPING}/BatchSize", GONE),
    (f"{DUE_MAPPING}/BatchSize", 11),
    (f"{DUE_MAPPING}/MaximumBatchingWindowInSeconds", 1),
)
def due_messages_come_few_at_a_time_and_at_once(template):
    expect(1 <= template.value(f"{DUE_MAPPING}/BatchSize") <= 10, "BatchSize")
    equal(template.value(f"{DUE_MAPPING}/MaximumBatchingWindowInSeconds"), 0)


@rule(
    (f"{DUE_MAPPING}/ScalingConfig", GONE),
    (f"{DUE_MAPPING}/ScalingConfig/MaximumConcurrency", 1),
    (f"{NOTIFIER}/ReservedConcurrentExecutions", 5),
)
def the_mapping_and_not_the_function_bounds_how_many_notifiers_run(template):
    # Lambda's bounds, which cfn-lint does not know.
    expect(2 <= template.value(f"{DUE_MAPPING}/ScalingConfig/MaximumConcurrency") <= 1_000, "MaximumConcurrency")
    # A message that a throttled function turns away counts as received.
    expect(template.value(f"{NOTIFIER}/ReservedConcurrentExecutions") is None, "concurrency is reserved")


@rule(
    (f"{DUE_MAPPING}/Queue", {"Fn::GetAtt": "DeadLetters.Arn"}),
    (f"{DUE_MAPPING}/Enabled", False),
    (f"{DUE_MAPPING}/FilterCriteria", {"Filters": []}),
)
def the_due_mapping_takes_every_message_of_the_due_queue(template):
    equal(template.value(f"{DUE_MAPPING}/Queue"), {"Fn::GetAtt": "DueMessages.Arn"})
    expect(template.value(f"{DUE_MAPPING}/Enabled") is not False, "it is disabled")
    expect(template.value(f"{DUE_MAPPING}/FilterCriteria") is None, "SQS deletes what a filter drops")


# ---- The sweep -----------------------------------------------------------------------------------


@rule(
    (f"{NOTIFIER}/Events/Sweep", GONE),
    (f"{SWEEP}/Schedule", "rate(1 hour)"),
    (f"{SWEEP}/Input", '{"stentor":"swep"}'),
    (f"{SWEEP}/Input", GONE),
    (f"{SWEEP}/Enabled", False),
    (f"{SWEEP}/State", "DISABLED"),
)
def the_notifier_sweeps_once_a_minute(template):
    equal(template.value(f"{NOTIFIER}/Events/Sweep/Type"), "Schedule")
    equal(template.value(f"{SWEEP}/Schedule"), "rate(1 minute)")
    equal(json.loads(template.value(f"{SWEEP}/Input")), json.loads(source("events/sweep.json")))
    expect(template.value(f"{SWEEP}/Enabled") is not False, "it is disabled")
    expect(template.value(f"{SWEEP}/State") in (None, "ENABLED"), "it is disabled")


@rule(
    (f"{SWEEP}/RetryPolicy", GONE),
    (f"{NOTIFIER}/EventInvokeConfig", GONE),
    (f"{NOTIFIER}/EventInvokeConfig/MaximumRetryAttempts", 2),
    (f"{NOTIFIER}/EventInvokeConfig/DestinationConfig", {"OnFailure": TO_DEAD_LETTERS}),
    (f"{SWEEP}/DeadLetterConfig", {"Arn": {"Fn::GetAtt": "DeadLetters.Arn"}}),
)
def a_sweep_that_fails_leaves_its_work_to_the_next_and_parks_nothing(template):
    once = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    equal(template.value(f"{SWEEP}/RetryPolicy"), once)
    equal(template.value(f"{NOTIFIER}/EventInvokeConfig"), once)
    expect(template.value(f"{SWEEP}/DeadLetterConfig") is None, "a sweep would be parked")


# ---- Asynchronous invocation, by subscriptions without a stream ----------------------------------


@rule(
    (f"{CONSUMER}/EventInvokeConfig", GONE),
    (f"{CONSUMER}/EventInvokeConfig/DestinationConfig/OnFailure/Destination", {"Fn::GetAtt": "Stream.Arn"}),
    (f"{CONSUMER}/EventInvokeConfig/MaximumRetryAttempts", 0),
)
def an_asynchronous_invocation_is_tried_again_and_then_parked(template):
    invoke = template.value(f"{CONSUMER}/EventInvokeConfig") or {}
    equal(invoke.get("MaximumRetryAttempts"), 2)
    equal(invoke["DestinationConfig"]["OnFailure"], TO_DEAD_LETTERS)


@rule(
    ("Resources/DirectSubscription/Properties/SourceAccount", GONE),
    ("Resources/DirectSubscription/Properties/SourceArn", GONE),
    ("Resources/DirectSubscription/Properties/Principal", "*"),
)
def only_log_groups_of_this_account_invoke_the_function(template):
    permission = template.value("Resources/DirectSubscription/Properties")
    equal(permission["Principal"], "logs.amazonaws.com")
    equal(permission["SourceAccount"], {"Ref": "AWS::AccountId"})
    expect(":${AWS::AccountId}:log-group:" in permission["SourceArn"]["Fn::Sub"], "SourceArn names no account")


# ---- The way into the stream ---------------------------------------------------------------------


@rule(
    (f"{TRUST}/Statement/0/Condition", GONE),
    (f"{TRUST}/Statement/1/Fn::If/1/Condition", GONE),
    (f"{TRUST}/Statement/0/Condition/StringLike/aws:SourceArn/Fn::Sub", "*"),
)
def cloudwatch_logs_takes_the_role_only_for_log_groups_and_by_condition(template):
    for statement in template.statements(TRUST):
        equal(statement["Principal"], {"Service": "logs.amazonaws.com"})
        source = statement["Condition"]["StringLike"]["aws:SourceArn"]["Fn::Sub"]
        expect(source.startswith("arn:${AWS::Partition}:logs:${AWS::Region}:"), f"from {source}")


@rule((f"{SUBSCRIPTION}/Policies/0/PolicyDocument/Statement/0/Action", "kinesis:PutRecords"))
def the_subscription_role_writes_records_to_the_stream_and_does_nothing_else(template):
    equal(template.grants("SubscriptionRole"), {("kinesis:PutRecord", "Stream")})


@rule(
    ("Resources/Destination/Properties/DestinationPolicy/Fn::Sub", '{"Statement": [{"Principal": "*"}]}'),
    ("Resources/Destination/Condition", GONE),
)
def the_destination_is_open_to_the_organization_only(template):
    equal(template.value("Resources/Destination/Condition"), "HasOrganization")
    policy = json.loads(template.value("Resources/Destination/Properties/DestinationPolicy")["Fn::Sub"])
    for statement in policy["Statement"]:
        equal(statement.get("Condition"), {"StringEquals": {"aws:PrincipalOrgID": ["${OrganizationId}"]}})
        expect(statement["Resource"].endswith(":${AWS::AccountId}:destination:${AWS::StackName}"), "Resource")


@rule(("Resources/Stream/Properties/StreamEncryption", GONE))
def the_stream_is_encrypted(template):
    equal(template.value("Resources/Stream/Properties/StreamEncryption/EncryptionType"), "KMS")


# ---- What is kept --------------------------------------------------------------------------------


@rule(
    (f"{DEAD_LETTERS}/MessageRetentionPeriod", GONE),
    (f"{DEAD_LETTERS}/MessageRetentionPeriod", 4 * DAY),
    (f"{DEAD_LETTERS}/MaximumMessageSize", 262_144),
)
def what_is_parked_is_kept_whole_and_for_as_long_as_sqs_can(template):
    equal(template.value(f"{DEAD_LETTERS}/MessageRetentionPeriod"), 14 * DAY)
    equal(template.value(f"{DEAD_LETTERS}/MaximumMessageSize"), 1 << 20)


@rule(
    (f"{DEAD_LETTERS}/SqsManagedSseEnabled", False),
    ("Resources/DeadLettersPolicy/Properties/PolicyDocument/Statement/0/Effect", "Allow"),
    ("Resources/DueMessagesPolicy", GONE),
    ("Resources/DueMessagesPolicy/Properties/Queues/0", {"Ref": "DeadLetters"}),
    ("Resources/DueMessagesPolicy/Properties/PolicyDocument/Statement/0/Resource", {"Fn::GetAtt": "DeadLetters.Arn"}),
)
def every_queue_is_encrypted_at_rest_and_on_its_way(template):
    for queue in template.of_type("AWS::SQS::Queue"):
        equal(template.value(f"Resources/{queue}/Properties/SqsManagedSseEnabled"), True)
        equal(template.value(f"Resources/{queue}Policy/Properties/Queues"), [{"Ref": queue}])
        denials = [
            statement
            for statement in template.statements(f"Resources/{queue}Policy/Properties/PolicyDocument")
            if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        ]
        found = [(denial["Principal"], denial["Action"], denial["Resource"]) for denial in denials]
        equal(found, [("*", "sqs:*", {"Fn::GetAtt": f"{queue}.Arn"})])


@rule(
    ("Resources/AppLogs/Properties/TimeToLiveSpecification", GONE),
    ("Resources/Outbox/Properties/TimeToLiveSpecification/AttributeName", "ttl"),
    ("Resources/Outbox/Properties/TimeToLiveSpecification/Enabled", False),
)
def items_expire_by_the_attribute_that_the_program_writes(template):
    items = source("src/store/dynamodb/item.rs", "src/store/dynamodb/outbox.rs")
    equal(set(re.findall(r'\("(\w+)", expiry', items)), {"expires_at"})
    for table in ["AppLogs", "Outbox"]:
        expiry = template.value(f"Resources/{table}/Properties/TimeToLiveSpecification")
        equal(expiry, {"AttributeName": "expires_at", "Enabled": True})


@rule(("Resources/Stream/Properties/RetentionPeriodHours", 77 * 24))
def a_row_outlives_every_way_in_which_its_alert_could_come_again(template):
    days = int(re.search(r"alerts_ttl: DAY \* (\d+)", source("src/store/dynamodb.rs")).group(1))
    parked = template.value(f"{DEAD_LETTERS}/MessageRetentionPeriod")
    for parameters in template.worlds():
        stream = int(template.value("Resources/Stream/Properties/RetentionPeriodHours", parameters)) * HOUR
        expect(days * DAY >= stream + parked, f"{days} days < {stream} s in the stream and {parked} s in the queue")


@rule(
    ("Resources/AppLogs/Properties/KeySchema/0/AttributeName", "id"),
    ("Resources/AppLogs/Properties/GlobalSecondaryIndexes/0/IndexName", "by-hour"),
    ("Resources/AppLogs/Properties/GlobalSecondaryIndexes/0/KeySchema/1/KeyType", "HASH"),
    ("Resources/AppLogs/Properties/GlobalSecondaryIndexes/0/Projection/NonKeyAttributes/0", "message"),
    ("Resources/AppLogs/Properties/AttributeDefinitions/0/AttributeType", "N"),
    ("Resources/Outbox/Properties/KeySchema/1/AttributeName", "sort"),
)
def the_tables_have_the_shape_that_the_program_makes_in_tests(template):
    for logical_id, function in [("AppLogs", "alerts_table"), ("Outbox", "outbox_table")]:
        equal(shape(template.value(f"Resources/{logical_id}/Properties")), shape_in_source(function))


@rule(
    ("Resources/AppLogs/DeletionPolicy", GONE),
    ("Resources/Outbox/UpdateReplacePolicy", "Delete"),
    ("Resources/DeadLetters/DeletionPolicy", GONE),
)
def what_is_kept_outlives_the_stack(template):
    for logical_id in ["AppLogs", "Outbox", "DeadLetters"]:
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"]:
            equal(template.value(f"Resources/{logical_id}/{policy}"), "Retain")


@rule(
    ("Resources/AppLogs/Properties/BillingMode", GONE),
    ("Resources/Outbox/Properties/SSESpecification", GONE),
    ("Resources/AppLogs/Properties/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled", False),
)
def tables_are_on_demand_encrypted_and_recoverable(template):
    for logical_id in ["AppLogs", "Outbox"]:
        table = template.value(f"Resources/{logical_id}/Properties")
        equal(table.get("BillingMode"), "PAY_PER_REQUEST")
        equal(table.get("SSESpecification"), {"SSEEnabled": True})
        equal(table.get("PointInTimeRecoverySpecification"), {"PointInTimeRecoveryEnabled": True})


@rule((SECRET, '{"slack:app-alerts": "https://example.com/"}'), (SECRET, GONE))
def the_template_holds_no_credential_and_the_secret_is_readable_from_the_start(template):
    equal(template.value(SECRET), "{}")


# ---- Permissions ---------------------------------------------------------------------------------


@rule(
    (f"{STATEMENTS}/0/Resource", "*"),
    (f"{STATEMENTS}/1/Action", "dynamodb:*"),
    (f"{STATEMENTS}/2/Resource", {"Fn::Sub": "arn:aws:dynamodb:*:*:table/*"}),
    ("Resources/ConsumerRole/Properties/ManagedPolicyArns", ["arn:aws:iam::aws:policy/AmazonKinesisFullAccess"]),
    (f"{CONSUMER}/Policies", ["AmazonDynamoDBFullAccess"]),
    (f"{NOTIFIER_STATEMENTS}/0/Action", "sqs:*"),
    (f"{NOTIFIER_STATEMENTS}/0/Resource", "*"),
    (f"{NOTIFIER}/Policies", ["AmazonSQSFullAccess"]),
    (f"{NOTIFIER}/Role", {"Fn::GetAtt": "ConsumerRole.Arn"}),
)
def no_role_may_do_everything_or_reach_everything(template):
    for role in template.of_type("AWS::IAM::Role"):
        expect(template.value(f"Resources/{role}/Properties/ManagedPolicyArns") is None, f"{role} has managed policies")
        for action, resource in sorted(template.grants(role)):
            # All actions that are used know resources, so there is no exception.
            expect("*" not in action, f"{role} may {action}")
            # What the stack makes, or the one topic that its owner names.
            known = template.value("Resources").keys() | {"FallbackTopicArn"}
            expect(resource in known, f"{role} may {action} on {resource}")
    equal(sorted(template.of_type("AWS::Serverless::Function")), sorted(ROLES))
    for function, role in ROLES.items():
        expect(template.value(f"Resources/{function}/Properties/Policies") is None, "SAM would add a policy to the role")
        equal(template.value(f"Resources/{function}/Properties/Role"), {"Fn::GetAtt": f"{role}.Arn"})


@rule(
    (f"{STATEMENTS}/0/Action/4", GONE),
    (f"{STATEMENTS}/1/Action/0", GONE),
    (f"{STATEMENTS}/2/Action/0", GONE),
    (f"{STATEMENTS}/3/Resource", {"Fn::GetAtt": "Stream.Arn"}),
    (f"{STATEMENTS}/4/Effect", "Deny"),
    (f"{STATEMENTS}/1/Action/0", "dynamodb:Scan"),
    (f"{STATEMENTS}/2/Action/0", "dynamodb:DeleteItem"),
    (f"{STATEMENTS}/4/Resource", {"Ref": "Credentials"}),
    (f"{NOTIFIER_STATEMENTS}/4/Fn::If/1/Resource", {"Ref": "AlarmTopicArn"}),
    (f"{NOTIFIER_STATEMENTS}/0/Action/0", GONE),
    (f"{NOTIFIER_STATEMENTS}/0/Action/3", GONE),
    (f"{NOTIFIER_STATEMENTS}/1/Resource", {"Fn::GetAtt": "AppLogs.Arn"}),
    (f"{NOTIFIER_STATEMENTS}/2/Effect", "Deny"),
    (f"{NOTIFIER_STATEMENTS}/3/Action", "secretsmanager:PutSecretValue"),
    (f"{NOTIFIER_STATEMENTS}/5/Resource", {"Fn::GetAtt": "ConsumerLogs.Arn"}),
)
def each_function_may_do_what_it_does_and_nothing_else(template):
    calls = calls_in_source()
    for function, role in ROLES.items():
        needed = PLATFORM[function].union(*(CALLS[call].get(function, set()) for call in calls))
        granted = template.grants(role)
        equal(sorted(granted - needed), [])
        equal(sorted(needed - granted), [])


# ---- The functions -------------------------------------------------------------------------------


@rule(
    ("Resources/Consumer/Metadata/BuildMethod", "makefile"),
    ("Resources/Consumer/Metadata/BuildProperties/Binary", "stentor"),
    ("Globals/Function/Runtime", "provided.al2"),
    ("Globals/Function/Handler", "main"),
    ("Globals/Function/CodeUri", "src/"),
    ("Parameters/Architecture/AllowedValues", ["arm64", "x64"]),
    (f"{CONSUMER}/CodeUri", "src/"),
    ("Resources/Notifier/Metadata", GONE),
    (f"{NOTIFIER}/Handler", "notifier"),
)
def sam_builds_the_function_and_not_the_command_line(template):
    for logical_id, function in template.of_type("AWS::Serverless::Function").items():
        equal(template.value(f"Resources/{logical_id}/Metadata"), BUILT)
        equal(sorted(function.keys() & template.value("Globals/Function").keys()), [])
    crate = tomllib.loads(source("Cargo.toml"))
    binary = next(binary for binary in crate["bin"] if binary["name"] == "stentor-lambda")
    # `sam build` names the binary and no features; cargo lambda finds them in its own file.
    build = tomllib.loads(source("CargoLambda.toml"))["build"]
    equal(sorted(build["features"]), sorted(set(crate["features"]["default"]) - {"cli"}))
    expect(set(binary["required-features"]) <= set(build["features"]), "the function lacks what its binary requires")
    equal((build["no_default_features"], build["locked"]), (True, True))
    # Unless it is said, cargo lambda takes "abort", and a record that hits a defect would end the process.
    equal(crate["profile"]["release"].get("panic"), "unwind")
    properties = template.value("Globals/Function")
    equal((properties["CodeUri"], properties["Handler"], properties["Runtime"]), (".", "bootstrap", "provided.al2023"))
    for parameters in template.worlds():
        expect(template.value("Globals/Function/Architectures", parameters)[0] in ("arm64", "x86_64"), "Architectures")


@rule(
    ("Globals/Function/Layers", GONE),
    ("Resources/Configuration/Properties/ContentUri", "config/stentor.toml"),
    ("Resources/Configuration/Metadata", {"BuildMethod": "makefile"}),
    ("Parameters/ConfigurationPath/Default", "/opt/config/stentor.toml"),
)
def the_layer_puts_the_configuration_where_the_function_looks(template):
    equal(template.value("Globals/Function/Layers"), [{"Ref": "Configuration"}])
    # A build method would put the files into a folder of its own.
    expect(template.value("Resources/Configuration/Metadata") is None, "the layer is built")
    path = Path(template.value(f"{VARIABLES}/STENTOR_CONFIG", template.defaults()))
    file = ROOT / template.value("Resources/Configuration/Properties/ContentUri") / path.relative_to("/opt")
    expect(file.is_file(), f"{path} would come from {file}, which is no file")


@rule(
    (f"{VARIABLES}/DLQ_URL", {"Fn::GetAtt": "DeadLetters.Arn"}),
    (f"{VARIABLES}/DUE_QUEUE_URL", GONE),
    (f"{VARIABLES}/DUE_QUEUE_URL", {"Ref": "DeadLetters"}),
    (f"{NOTIFIER}/Environment", {"Variables": {"OUTBOX_TABLE": "Outbox2"}}),
    (f"{VARIABLES}/OUTBOX_TABLE", {"Ref": "AppLogs"}),
    (f"{VARIABLES}/STENTOR_SECRET_ID", GONE),
    (f"{VARIABLES}/AWS_ENDPOINT_URL", "http://localhost:5000"),
    (f"{VARIABLES}/STENTOR_ALERTS_TABLE", "AppLogs"),
)
def the_environment_is_what_the_program_reads(template):
    variables = template.value(VARIABLES)
    expected = {
        "ALERTS_TABLE": {"Ref": "AppLogs"},
        "OUTBOX_TABLE": {"Ref": "Outbox"},
        "DUE_QUEUE_URL": {"Ref": "DueMessages"},
        "DLQ_URL": {"Ref": "DeadLetters"},
        "STENTOR_SECRET_ID": {"Ref": "Credentials"},
        # Named for `sam local invoke`, and never set in an account.
        "AWS_ENDPOINT_URL": {"Ref": "AWS::NoValue"},
    }
    for name, value in expected.items():
        equal((name, variables.get(name)), (name, value))
    for function in ROLES:
        expect(template.value(f"Resources/{function}/Properties/Environment") is None, f"{function} has its own")
    program = source("src/bin/stentor-lambda.rs")
    for name in variables.keys() - {"AWS_ENDPOINT_URL"}:
        expect(f'"{name}"' in program, f"the program does not read {name}")


@rule(
    ("Resources/ConsumerLogs/Properties/LogGroupName", {"Fn::Sub": "/stentor/${AWS::StackName}"}),
    ("Resources/ConsumerLogs/Properties/RetentionInDays", GONE),
    (f"{CONSUMER}/LoggingConfig/LogGroup", GONE),
    (f"{VARIABLES}/STENTOR_FUNCTIONS", {"Fn::Sub": "${AWS::StackName}"}),
    (f"{VARIABLES}/STENTOR_FUNCTIONS", {"Fn::Sub": "${AWS::StackName}-consumer"}),
    ("Resources/NotifierLogs/Properties/RetentionInDays", GONE),
    (f"{NOTIFIER}/LoggingConfig/LogGroup/Ref", "ConsumerLogs"),
)
def every_function_logs_to_a_declared_group_that_the_program_knows_for_its_own(template):
    named = template.value(f"{VARIABLES}/STENTOR_FUNCTIONS")["Fn::Sub"].split(",")
    functions = template.of_type("AWS::Serverless::Function").values()
    equal(sorted(named), sorted(function["FunctionName"]["Fn::Sub"] for function in functions))
    for function in functions:
        group = template.value(f"Resources/{function['LoggingConfig']['LogGroup']['Ref']}/Properties")
        equal(group["LogGroupName"]["Fn::Sub"], f"/aws/lambda/{function['FunctionName']['Fn::Sub']}")
        expect("RetentionInDays" in group, "the log is kept for ever")


@rule(
    (f"{CONSUMER}/LoggingConfig/LogFormat", "Text"),
    (f"{NOTIFIER}/LoggingConfig/LogFormat", GONE),
    (f"{NOTIFIER}/LoggingConfig/ApplicationLogLevel", "ERROR"),
    ("Parameters/LogLevel/AllowedValues/0", "WARN"),
)
def no_log_level_swallows_the_metrics(template):
    for function in ROLES:
        logging = f"Resources/{function}/Properties/LoggingConfig"
        equal(template.value(f"{logging}/LogFormat"), "JSON")
        for parameters in template.worlds():
            # A line without a level, as the metrics are, counts as INFO.
            level = template.value(f"{logging}/ApplicationLogLevel", parameters)
            expect(level in ("TRACE", "DEBUG", "INFO"), f"level {level}")


# ---- Alarms --------------------------------------------------------------------------------------


@rule(
    ("Resources/ParkingAlarm", GONE),
    ("Resources/LagAlarm/Properties/MetricName", "IteratorAgeMilliseconds"),
    ("Resources/ErrorsAlarm/Properties/AlarmActions", GONE),
    ("Resources/DeadLettersAlarm/Properties/Dimensions/0/Value", {"Ref": "DeadLetters"}),
    ("Resources/LogsDeliveryAlarm/Properties/Metrics/0/Expression", 'SELECT SUM(DeliveryThrottling) FROM "AWS/Logs"'),
    ("Resources/DueAlarm", GONE),
    ("Resources/DueAlarm/Properties/Dimensions/0/Value", {"Fn::GetAtt": "DeadLetters.QueueName"}),
    ("Resources/NotifierErrorsAlarm/Properties/Dimensions/0/Value", {"Ref": "Consumer"}),
    ("Resources/NotifierThrottlesAlarm", GONE),
    ("Resources/SweepAlarm/Properties/Dimensions/0/Value", {"Ref": "Sweep"}),
    ("Resources/RefusedAlarm/Properties/Dimensions/0/Name", "Function"),
    ("Resources/BehindAlarm/Properties/OKActions", GONE),
    ("Resources/BooksAlarm", GONE),
    ("Resources/OwnLogsAlarm", GONE),
)
def everything_that_can_lose_or_delay_an_alert_has_an_alarm_that_reaches_people(template):
    alarms = template.of_type("AWS::CloudWatch::Alarm").values()
    equal(sorted(map(str, ALARMS - {watched(alarm) for alarm in alarms})), [])
    topic = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    for alarm in alarms:
        equal((watched(alarm), alarm.get("AlarmActions"), alarm.get("OKActions")), (watched(alarm), topic, topic))


@rule(
    ("Resources/RefusedAlarm/Properties/MetricName", "message_parked"),
    ("Resources/BooksAlarm/Properties/Namespace", "stentor"),
)
def alarms_on_metrics_of_the_program_name_those_that_it_writes(template):
    program = source("src/metric.rs")
    written = {("Stentor", name) for name in re.findall(r'count\("(\w+)"', program)}
    expect('"Namespace": "Stentor", "Dimensions": [["function"]]' in program, "namespace and dimension")
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        if not alarm.get("Namespace", "AWS/").startswith("AWS/"):
            expect((alarm["Namespace"], alarm["MetricName"]) in written, f"nobody writes {alarm['MetricName']}")


@rule(
    ("Resources/SweepAlarm/Properties/TreatMissingData", "notBreaching"),
    ("Resources/DeadLettersAlarm/Properties/TreatMissingData", "breaching"),
)
def silence_is_an_alarm_where_something_must_happen_and_nowhere_else(template):
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm").items():
        equal((name, alarm["TreatMissingData"]), (name, "breaching" if name == "SweepAlarm" else "notBreaching"))


def watched(alarm):
    """Namespace, metric and logical id of the resource that an alarm is about."""
    if "Metrics" in alarm:
        expression = alarm["Metrics"][0]["Expression"]
        name, namespace = re.fullmatch(r'SELECT SUM\((\w+)\) FROM "([\w/]+)"', expression).groups()
        return namespace, name, None
    dimension, value = DIMENSIONS[alarm["Namespace"]]
    (found,) = alarm["Dimensions"]
    equal(found["Name"], dimension)
    (name,) = [name.removesuffix(".QueueName") for name in found["Value"].values()]
    equal(found["Value"], value(name))
    return alarm["Namespace"], alarm["MetricName"], name


# ---- What the source says ------------------------------------------------------------------------


def source(*paths):
    return "\n".join((ROOT / path).read_text(encoding="utf-8") for path in paths)


def calls_in_source():
    """The calls of AWS clients, as the program's source has them."""
    files = [file.relative_to(ROOT) for pattern in CALLERS for file in ROOT.glob(pattern)]
    calls = set(re.findall(r"\bclient\s*\.\s*(\w+)\(\)", source(*files)))
    unknown = calls - CALLS.keys()
    expect(not unknown, f"calls that CALLS does not know: {sorted(unknown)}")
    return calls


def shape(table):
    """Keys, indexes and types of a table, in one comparable value."""
    keys = lambda schema: [(key["AttributeName"], key["KeyType"]) for key in schema]
    indexes = [
        (index["IndexName"], keys(index["KeySchema"]), index["Projection"])
        for index in table.get("GlobalSecondaryIndexes", [])
    ]
    types = [(definition["AttributeName"], definition["AttributeType"]) for definition in table["AttributeDefinitions"]]
    return keys(table["KeySchema"]), indexes, sorted(types)


def shape_in_source(function):
    text = source("src/store/dynamodb/table.rs")
    body = re.search(rf"fn {function}\(.*?\n    }}\n", text, re.DOTALL).group()
    before, table = body.split("create_table()")
    keys = lambda text: [(name, kind.upper()) for name, kind in re.findall(r'key\("(\w+)", KeyType::(\w+)\)', text)]
    columns = re.findall(r'"(\w+)"', re.search(r"BY_HOUR_COLUMNS: \[&str; \d+\] = \[(.*?)\]", text).group(1))
    projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": columns}
    indexes = [(name, keys(before), projection) for name in re.findall(r'index_name\("(\w+)"\)', before)]
    strings = re.findall(r'"(\w+)"', re.search(r"with_strings\(.*&\[(.*?)\]\)", table).group(1))
    return keys(table), indexes, sorted((name, "S") for name in strings)


# ---- The template --------------------------------------------------------------------------------


class Template:
    def __init__(self, document):
        self.document = document

    def broken(self, path, value):
        document = copy.deepcopy(self.document)
        *way, last = path.split("/")
        at = document
        for step in way:
            at = at[index(at, step)]
        if value is GONE:
            del at[index(at, last)]
        else:
            at[index(at, last)] = value
        return Template(document)

    def value(self, path, parameters=None):
        """What stands at a path, None if nothing; with values for the parameters: what becomes of it."""
        at = self.document
        for step in path.split("/"):
            if at is None:
                return None
            at = at[index(at, step)] if isinstance(at, list) else at.get(step)
        return at if parameters is None else self.resolved(at, parameters)

    def resolved(self, value, parameters):
        match value:
            case {"Ref": name} if name in parameters:
                return parameters[name]
            case {"Fn::FindInMap": [name, *keys]}:
                at = self.document["Mappings"][name]
                for key in keys:
                    key = str(self.resolved(key, parameters))
                    expect(key in at, f"Mappings.{name} has no {key}")
                    at = at[key]
                return at
            case list():
                return [self.resolved(item, parameters) for item in value]
            case _:
                return value

    def defaults(self):
        return {name: parameter.get("Default") for name, parameter in self.document["Parameters"].items()}

    def worlds(self):
        """Values for all parameters: the defaults, and every other value that one of them may have, or its bounds."""
        yield self.defaults()
        for name, parameter in self.document["Parameters"].items():
            bounds = [parameter[bound] for bound in ("MinValue", "MaxValue") if bound in parameter]
            for value in parameter.get("AllowedValues", bounds):
                yield self.defaults() | {name: value}

    def of_type(self, kind):
        """Properties of all resources of a type, by logical id."""
        resources = self.document["Resources"].items()
        return {logical_id: resource["Properties"] for logical_id, resource in resources if resource["Type"] == kind}

    def statements(self, path):
        """Statements of a policy, conditional ones included."""
        for statement in self.value(f"{path}/Statement"):
            yield statement["Fn::If"][1] if "Fn::If" in statement else statement

    def grants(self, role):
        """What a role may do: pairs of action and logical id, or of action and whatever else stands there."""
        granted = set()
        for at, _ in enumerate(self.value(f"Resources/{role}/Properties/Policies")):
            for statement in self.statements(f"Resources/{role}/Properties/Policies/{at}/PolicyDocument"):
                if statement["Effect"] == "Allow":
                    targets = [target(resource) for resource in listed(statement["Resource"])]
                    granted |= {(action, to) for action in listed(statement["Action"]) for to in targets}
        return granted


def target(resource):
    match resource:
        case {"Fn::GetAtt": name} if name.endswith(".Arn"):
            return name.removesuffix(".Arn")
        case {"Ref": name}:
            return name
        case _:
            return json.dumps(resource)


def index(at, step):
    return int(step) if isinstance(at, list) else step


def listed(value):
    return value if isinstance(value, list) else [value]


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, spelled out."""


def spelled_out(loader, tag, node):
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    match node:
        case yaml.ScalarNode():
            return {name: loader.construct_scalar(node)}
        case yaml.SequenceNode():
            return {name: loader.construct_sequence(node, deep=True)}
        case _:
            return {name: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", spelled_out)


# ---- Judging -------------------------------------------------------------------------------------


class Fault(Exception):
    pass


def expect(holds, why):
    if not holds:
        raise Fault(why)


def equal(found, expected):
    expect(found == expected, f"found {found}, expected {expected}")


def fault(check, template):
    """Why a rule does not hold, None if it does. What is not there at all is a fault, too."""
    try:
        check(template)
    except Fault as why:
        return str(why)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def unnoticed(check, ways, template):
    for path, value in ways:
        if fault(check, template.broken(path, value)) is None:
            yield f"{path} was {'removed' if value is GONE else f'set to {value}'}, and the rule did not notice"


def main(path):
    try:
        template = Template(yaml.load(path.read_text(encoding="utf-8"), Loader))
    except (OSError, yaml.YAMLError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    faults = 0
    for check, ways in RULES:
        why = fault(check, template)
        whys = [why] if why else list(unnoticed(check, ways, template))
        print("FAIL" if whys else "ok  ", check.__name__.replace("_", " "))
        for why in whys:
            print("     ", why)
        faults += bool(whys)
    broken = sum(len(ways) for _, ways in RULES)
    print(f"{len(RULES) - faults} of {len(RULES)} rules hold; they were tried on {broken} broken templates")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "template.yaml"))
