//! The bucket of an export. Only a build with the clients of AWS has one.

use crate::audit_table::AuditTable;

#[cfg(feature = "aws")]
pub(super) use of_build::Bucket;
#[cfg(not(feature = "aws"))]
pub(super) use of_build::NoBucket as Bucket;

#[cfg(feature = "aws")]
mod of_build {
    use std::time::Duration;

    use anyhow::{Context as _, anyhow};
    use stentor::adapters::aws::diagnose;
    use stentor::adapters::clock::SystemClock;
    use stentor::adapters::s3::{BucketFolder, ObjectWriter};
    use stentor::protocol::clock::{Clock as _, Deadline};

    use super::AuditTable;
    use crate::ui::hinted;

    /// A part has 32 MiB.
    const PUT_TIMEOUT: Duration = Duration::from_mins(10);

    pub(in crate::export) struct Bucket(ObjectWriter<SystemClock>);

    impl Bucket {
        /// # Errors
        /// When the URL is wrong, or there are no credentials.
        pub(in crate::export) async fn open(url: &str, table: &AuditTable) -> anyhow::Result<Self> {
            let folder = BucketFolder::parse(url)
                .ok_or_else(|| anyhow!("--to: expected s3://BUCKET/FOLDER"))?;
            let aws = table.aws().await?;
            let writer = ObjectWriter::new(folder, &aws, SystemClock).await;
            Ok(Self(writer.context("cannot set up the HTTP client")?))
        }

        pub(in crate::export) async fn put(
            &mut self,
            name: &str,
            body: Vec<u8>,
        ) -> anyhow::Result<()> {
            let deadline = Deadline::after(SystemClock.now(), PUT_TIMEOUT);
            let kind =
                if name.ends_with(".gz") { "application/gzip" } else { "application/octet-stream" };
            let put = self.0.put(name, kind, body, deadline).await;
            let url = self.0.folder().url(name);
            put.map_err(|cause| match &*cause.code {
                "AccessDenied" | "http-403" => hinted(
                    anyhow!("these credentials may not write {url} ({cause})"),
                    format!("allow s3:PutObject on arn:aws:s3:::{}/*, and kms:GenerateDataKey if the bucket has a key", self.0.folder().bucket),
                ),
                "NoSuchBucket" => anyhow!("the bucket {} does not exist", self.0.folder().bucket),
                _ => anyhow!("{}", diagnose::explain(&cause, &url)),
            })
        }
    }
}

#[cfg(not(feature = "aws"))]
mod of_build {
    use super::AuditTable;

    pub(in crate::export) enum NoBucket {}

    impl NoBucket {
        /// # Errors
        /// Always: this build has no clients of AWS.
        #[expect(clippy::unused_async, reason = "it is async with the clients")]
        pub(in crate::export) async fn open(_: &str, _: &AuditTable) -> anyhow::Result<Self> {
            Err(crate::args::needs_aws())
        }

        #[expect(clippy::unused_async, reason = "it is async with the clients")]
        pub(in crate::export) async fn put(&mut self, _: &str, _: Vec<u8>) -> anyhow::Result<()> {
            match *self {}
        }
    }
}
