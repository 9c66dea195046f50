//! Writes a line into a log group of CloudWatch Logs, for `stentor drill`.

use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;

use crate::adapters::aws::diagnose::explain_error;
use crate::model::time::Timestamp;

const ATTEMPTS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(20);

/// Writes the line. Creates the log stream if it does not exist; the log group must exist.
///
/// # Errors
/// When CloudWatch Logs does not take the line.
pub async fn write(
    aws: &aws_types::SdkConfig,
    log_group: &str,
    log_stream: &str,
    line: &str,
    at: Timestamp,
) -> Result<(), String> {
    let config = aws_sdk_cloudwatchlogs::config::Builder::from(aws)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
        .build();
    let client = Client::from_conf(config);
    let what = format!("the log group {log_group}");
    let create = client.create_log_stream().log_group_name(log_group).log_stream_name(log_stream);
    if let Err(error) = create.send().await
        && !error
            .as_service_error()
            .is_some_and(|error| error.is_resource_already_exists_exception())
    {
        return Err(explain_error(&error, &what));
    }
    let event = InputLogEvent::builder().timestamp(at.as_millis()).message(line).build();
    let event = event.expect("invariant: the timestamp and the message are set");
    let put = client.put_log_events().log_group_name(log_group).log_stream_name(log_stream);
    let answer =
        put.log_events(event).send().await.map_err(|error| explain_error(&error, &what))?;
    match answer.rejected_log_events_info {
        // Only a line whose time is far from the clock of AWS is too old or too new.
        Some(_) => {
            Err("CloudWatch Logs rejected the line: check the clock of this machine".to_owned())
        }
        None => Ok(()),
    }
}
