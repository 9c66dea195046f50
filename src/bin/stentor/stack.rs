//! The stack that a command works on. Its name stands for its tables, queues and secret.

use std::collections::HashMap;

use aws_types::SdkConfig;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Stack {
    /// Use the tables, the queues and the secret of this stack; options that name them are ignored
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(id = "stack", long = "stack", value_name = "NAME")]
    name: Option<String>,
}

/// The settings of the stack, by the variables of its functions; `None` if no stack is named.
#[derive(Debug, Default)]
pub(crate) struct StackSettings(Option<HashMap<String, String>>);

impl Stack {
    pub(crate) fn is_named(&self) -> bool {
        self.name.is_some()
    }

    /// # Errors
    /// When the functions of the stack cannot be read.
    #[cfg(feature = "aws")]
    pub(crate) async fn settings(&self, aws: &SdkConfig) -> anyhow::Result<StackSettings> {
        let Some(name) = &self.name else { return Ok(StackSettings::default()) };
        let settings = stentor::adapters::stack::settings(aws, name).await;
        settings
            .map(|settings| StackSettings(Some(settings)))
            .map_err(|error| anyhow::anyhow!("{error}"))
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
    /// Those of a stack with these variables.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self(Some(owned.collect()))
    }

    /// The value that the stack has for `variable`. Without a stack, the `option`: another stack's
    /// setting in the shell must not mix with those of this one.
    pub(crate) fn setting(&self, variable: &str, option: Option<&str>) -> Option<String> {
        match &self.0 {
            Some(settings) => settings.get(variable).filter(|value| !value.is_empty()).cloned(),
            None => option.map(str::to_owned),
        }
    }
}
