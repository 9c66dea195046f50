//! The settings of a deployed stack, from the environment of its notifier. So the operator names the
//! stack, and not its tables, queues and secret.

use std::collections::HashMap;

use aws_types::SdkConfig;

use crate::adapters::aws::diagnose::explain_error;

/// The names of the functions of a stack, the consumer first.
pub fn functions(stack: &str) -> [String; 2] {
    [format!("{stack}-consumer"), format!("{stack}-notifier")]
}

/// The variables of the notifier. Needs `lambda:GetFunctionConfiguration`.
///
/// # Errors
/// A sentence for the operator, when the function cannot be read.
pub async fn settings(aws: &SdkConfig, stack: &str) -> Result<HashMap<String, String>, String> {
    let [_, notifier] = functions(stack);
    let client = aws_sdk_lambda::Client::new(aws);
    let call = client.get_function_configuration().function_name(&notifier).send().await;
    let found = call.map_err(|error| explain_error(&error, &format!("the function {notifier}")))?;
    let variables = found.environment.and_then(|environment| environment.variables);
    Ok(variables.unwrap_or_default())
}
