//! Reads the state of a deployment for `stentor check --aws`. The environment of the function names
//! its tables, queues and secret, so the operator only names the function. The values of the secret
//! are dropped; only whether they can be used is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_cloudwatchlogs::types::PolicyType;
use aws_sdk_dynamodb::types::KeySchemaElement;
use aws_sdk_lambda::types::{EventSourceMappingConfiguration, FunctionResponseType};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_types::SdkConfig;
use serde_json::Value;

use crate::adapters::access::Access;
use crate::adapters::aws::diagnose::explain_error;
use crate::adapters::secret::Credential;
use crate::model::name::Target;
use crate::ops::check::{CredentialState, Inspected, Mapping, Queue, Snapshot, TableState};

/// The parts of the deployment to read.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// The functions of the pipeline. The environment of the first names the rest.
    pub functions: Vec<String>,
    /// The targets whose credentials are looked up.
    pub targets: BTreeSet<Target>,
    /// Variables that replace those of the function's environment.
    pub environment: HashMap<String, String>,
}

/// The function's environment, with its defaults.
struct Deployment {
    environment: HashMap<String, String>,
    own: BTreeSet<String>,
}

/// Reads everything. A part that cannot be read is recorded as such.
///
/// # Errors
/// When the function itself cannot be read, because only its environment names the rest.
pub async fn inspect(aws: &SdkConfig, inspect: &Inspection) -> Result<Snapshot, String> {
    let function = inspect.functions.first().cloned().unwrap_or_default();
    let deployment = deployment(aws, inspect).await?;
    let variable =
        |name: &str| deployment.environment.get(name).filter(|value| !value.is_empty()).cloned();
    let required = |name: &str| {
        variable(name).ok_or_else(|| format!("set {name} in the function's environment"))
    };
    let mappings = mappings(aws, &inspect.functions).await;
    let mut streams = BTreeMap::new();
    for mapping in
        mappings.iter().flatten().filter(|mapping| mapping.source_arn.contains(":kinesis:"))
    {
        streams.insert(mapping.source_arn.clone(), retention(aws, &mapping.source_arn).await);
    }
    let due = match variable("DUE_QUEUE_URL") {
        Some(url) => Some(queue(aws, &url).await),
        None => None,
    };
    Ok(Snapshot {
        function,
        alerts: table(aws, &variable("ALERTS_TABLE").unwrap_or_else(|| "AppLogs".to_owned())).await,
        outbox: table(aws, &variable("OUTBOX_TABLE").unwrap_or_else(|| "Outbox".to_owned())).await,
        dead_letters: match required("DLQ_URL") {
            Ok(url) => queue(aws, &url).await,
            Err(missing) => Err(missing),
        },
        due,
        credentials: match required("STENTOR_SECRET_ID") {
            Ok(secret_id) => credentials(aws, &secret_id, &inspect.targets).await,
            Err(missing) => Err(missing),
        },
        mappings,
        streams,
        own_logs: filters(aws, &deployment.own).await,
        policies: policies(aws, &deployment.own).await,
    })
}

async fn deployment(aws: &SdkConfig, inspect: &Inspection) -> Result<Deployment, String> {
    let client = aws_sdk_lambda::Client::new(aws);
    let mut environment = HashMap::new();
    let mut own = BTreeSet::new();
    for (n, function) in inspect.functions.iter().enumerate() {
        let call = client.get_function_configuration().function_name(function).send().await;
        let found =
            call.map_err(|error| explain_error(&error, &format!("the function {function}")))?;
        let log_group = found.logging_config.and_then(|logging| logging.log_group);
        own.insert(log_group.unwrap_or_else(|| format!("/aws/lambda/{function}")));
        if n == 0 {
            environment =
                found.environment.and_then(|environment| environment.variables).unwrap_or_default();
        }
    }
    environment.extend(inspect.environment.clone());
    Ok(Deployment { environment, own })
}

async fn table(aws: &SdkConfig, name: &str) -> Inspected<TableState> {
    let client = aws_sdk_dynamodb::Client::new(aws);
    let found = client.describe_table().table_name(name).send().await;
    let found = found.map_err(|error| explain_error(&error, &format!("the table {name}")))?;
    let table =
        found.table.unwrap_or_else(|| aws_sdk_dynamodb::types::TableDescription::builder().build());
    let names = |keys: Option<Vec<KeySchemaElement>>| -> Vec<String> {
        keys.unwrap_or_default().into_iter().map(|key| key.attribute_name).collect()
    };
    let by_hour = table.global_secondary_indexes.unwrap_or_default().into_iter();
    let by_hour = by_hour
        .filter(|index| index.index_name.as_deref() == Some("by_hour"))
        .find_map(|index| index.key_schema);
    Ok(TableState { name: name.to_owned(), keys: names(table.key_schema), by_hour: names(by_hour) })
}

async fn queue(aws: &SdkConfig, url: &str) -> Inspected<Queue> {
    let client = aws_sdk_sqs::Client::new(aws);
    let call = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await;
    let attributes = call
        .map_err(|error| explain_error(&error, &format!("the queue {url}")))?
        .attributes
        .unwrap_or_default();
    let number =
        |name| attributes.get(&name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
    let redrive = attributes.get(&QueueAttributeName::RedrivePolicy);
    let redrive: Option<Value> = redrive.and_then(|policy| serde_json::from_str(policy).ok());
    Ok(Queue {
        url: url.to_owned(),
        arn: attributes.get(&QueueAttributeName::QueueArn).cloned().unwrap_or_default(),
        retention: Duration::from_secs(number(QueueAttributeName::MessageRetentionPeriod)),
        message_bytes_max: number(QueueAttributeName::MaximumMessageSize),
        redrives_to: redrive
            .and_then(|policy| Some(policy["deadLetterTargetArn"].as_str()?.to_owned())),
    })
}

async fn credentials(
    aws: &SdkConfig,
    secret_id: &str,
    targets: &BTreeSet<Target>,
) -> Inspected<BTreeMap<Target, CredentialState>> {
    let client = aws_sdk_secretsmanager::Client::new(aws);
    let call = client.get_secret_value().secret_id(secret_id).send().await;
    let found = call.map_err(|error| explain_error(&error, &format!("the secret {secret_id}")))?;
    let credentials: Option<BTreeMap<String, Value>> =
        found.secret_string.and_then(|text| serde_json::from_str(&text).ok());
    let credentials = credentials
        .ok_or_else(|| "make the secret a JSON object from target to credential".to_owned())?;
    let state = |target: &Target| {
        let found =
            target.credential_names().iter().find_map(|name| credentials.get(name)).cloned();
        match found.map(|found| Access::parse(target.kind, &Credential::new(found))) {
            None => CredentialState::Missing,
            Some(Ok(_)) => CredentialState::Valid,
            Some(Err(error)) => CredentialState::Malformed(error.to_string()),
        }
    };
    Ok(targets.iter().map(|target| (target.clone(), state(target))).collect())
}

async fn mappings(aws: &SdkConfig, functions: &[String]) -> Inspected<Vec<Mapping>> {
    let client = aws_sdk_lambda::Client::new(aws);
    let mut mappings = Vec::new();
    for function in functions {
        let pages = client
            .list_event_source_mappings()
            .function_name(function)
            .into_paginator()
            .items()
            .send();
        let found: Vec<_> = pages
            .collect::<Result<_, _>>()
            .await
            .map_err(|error| explain_error(&error, &format!("the mappings of {function}")))?;
        mappings.extend(found.into_iter().map(|found| mapping(function, found)));
    }
    Ok(mappings)
}

fn mapping(function: &str, found: EventSourceMappingConfiguration) -> Mapping {
    let partial = FunctionResponseType::ReportBatchItemFailures;
    // -1 and an absent value mean no limit.
    let limit = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    Mapping {
        function: function.to_owned(),
        source_arn: found.event_source_arn.unwrap_or_default(),
        enabled: found.state.is_none_or(|state| !state.starts_with("Disabl")),
        reports_item_failures: found.function_response_types.unwrap_or_default().contains(&partial),
        on_failure: found.destination_config.and_then(|config| config.on_failure?.destination),
        age_max: limit(found.maximum_record_age_in_seconds)
            .map(|age| Duration::from_secs(age.into())),
        attempts_max: limit(found.maximum_retry_attempts),
    }
}

async fn retention(aws: &SdkConfig, stream_arn: &str) -> Inspected<Duration> {
    let client = aws_sdk_kinesis::Client::new(aws);
    let call = client.describe_stream_summary().stream_arn(stream_arn).send().await;
    let found = call.map_err(|error| explain_error(&error, &format!("the stream {stream_arn}")))?;
    let hours =
        found.stream_description_summary.map_or(0, |summary| summary.retention_period_hours);
    Ok(Duration::from_hours(u64::try_from(hours).unwrap_or(0)))
}

/// Subscription filters of the log groups.
async fn filters(aws: &SdkConfig, own: &BTreeSet<String>) -> Inspected<Vec<(String, String)>> {
    let client = aws_sdk_cloudwatchlogs::Client::new(aws);
    let mut filters = Vec::new();
    for group in own {
        match client.describe_subscription_filters().log_group_name(group).send().await {
            Ok(found) => {
                let found = found.subscription_filters.unwrap_or_default().into_iter();
                filters.extend(
                    found.map(|filter| (group.clone(), filter.filter_name.unwrap_or_default())),
                );
            }
            // A function that has never run has no log group.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) => {}
            Err(error) => return Err(explain_error(&error, &format!("the log group {group}"))),
        }
    }
    Ok(filters)
}

/// Account policies whose selection does not exclude the log groups.
async fn policies(aws: &SdkConfig, own: &BTreeSet<String>) -> Inspected<Vec<(String, String)>> {
    let client = aws_sdk_cloudwatchlogs::Client::new(aws);
    let call = client
        .describe_account_policies()
        .policy_type(PolicyType::SubscriptionFilterPolicy)
        .send()
        .await;
    let found =
        call.map_err(|error| explain_error(&error, "the account's subscription policies"))?;
    let mut policies = Vec::new();
    for policy in found.account_policies.unwrap_or_default() {
        let criteria = policy.selection_criteria.unwrap_or_default();
        let name = policy.policy_name.unwrap_or_default();
        let selected = own.iter().filter(|group| !criteria.contains(&format!("\"{group}\"")));
        policies.extend(selected.map(|group| (group.clone(), name.clone())));
    }
    Ok(policies)
}
