//! The vocabulary that the commands share: the same option has the same name, the same variable and the same
//! meaning wherever it stands.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use aws_sdk_dynamodb::config::ProvideCredentials as _;
use clap::Args;
use stentor::config::Config;

/// Which configuration.
#[derive(Debug, Args)]
pub struct Configuration {
    /// Configuration; without it, [CRITICAL] and [ALERT] go to slack:default
    #[arg(long, value_name = "FILE", env = "STENTOR_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
}

/// Which account and Region.
#[derive(Debug, Args)]
pub struct Aws {
    /// Region of the stack; otherwise AWS_REGION or the profile's
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Profile to sign in with; otherwise AWS_PROFILE or the environment's keys
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

impl Configuration {
    /// # Errors
    /// When the file cannot be read, and every mistake in it.
    pub fn read(&self) -> anyhow::Result<Config> {
        let Some(file) = &self.config else { return Ok(Config::builtin()) };
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the configuration {name}"))?;
        Config::parse(&text, &name).map_err(|problems| anyhow::anyhow!("{problems}"))
    }
}

impl Aws {
    /// The SDK's configuration, with a Region and with credentials: what is missing is said here, once, and not
    /// by whichever call comes first.
    ///
    /// # Errors
    /// When there is no Region, or there are no credentials.
    pub async fn load(&self) -> anyhow::Result<aws_config::SdkConfig> {
        let mut loader = aws_config::from_env().http_client(stentor::aws::http_client());
        if let Some(region) = &self.region {
            loader = loader.region(aws_config::Region::new(region.clone()));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        let aws = loader.load().await;
        if aws.region().is_none() {
            bail!("no Region is set: name the stack's with --region or AWS_REGION");
        }
        let provider = aws.credentials_provider().context("there are no AWS credentials")?;
        provider.provide_credentials().await.context("there are no AWS credentials")?;
        Ok(aws)
    }
}
