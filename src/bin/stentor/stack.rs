//! The stack that a command works on. Its name stands for its tables, queues and secret.

use std::collections::HashMap;

use aws_types::SdkConfig;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Stack {
    /// Take the tables, the queues and the secret of this stack, whatever other options name
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(id = "stack", long = "stack", value_name = "NAME")]
    name: Option<String>,
}

/// The settings of the stack, by the variables of its functions. Empty without a name.
#[derive(Debug, Default)]
pub(crate) struct StackSettings(HashMap<String, String>);

impl Stack {
    /// # Errors
    /// When the functions of the stack cannot be read.
    #[cfg(feature = "aws")]
    pub(crate) async fn settings(&self, aws: &SdkConfig) -> anyhow::Result<StackSettings> {
        let Some(name) = &self.name else { return Ok(StackSettings::default()) };
        let settings = stentor::adapters::stack::settings(aws, name).await;
        settings.map(StackSettings).map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// # Errors
    /// When a stack is named: this build has no clients for one.
    #[cfg(not(feature = "aws"))]
    #[expect(clippy::unused_async, reason = "it is async with the clients")]
    pub(crate) async fn settings(&self, _aws: &SdkConfig) -> anyhow::Result<StackSettings> {
        match &self.name {
            Some(_) => Err(crate::args::needs_aws()),
            None => Ok(StackSettings::default()),
        }
    }
}

impl StackSettings {
    /// The value that the stack has for `variable`; without a stack, the `option`.
    pub(crate) fn or(&self, variable: &str, option: Option<&str>) -> Option<String> {
        let own = self.0.get(variable).filter(|value| !value.is_empty());
        own.cloned().or_else(|| option.map(str::to_owned))
    }
}
