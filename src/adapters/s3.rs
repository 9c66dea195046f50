//! Objects of S3, written whole: one signed PutObject each, which S3 stores as a whole or not at all. The
//! request is signed by the signer of the SDK; the client of S3 would be the largest of all.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use bytes::Bytes;
use reqwest::header::HeaderMap;

use crate::adapters::http;
use crate::model::error::{Cause, chain};
use crate::model::percent;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::retry::{AttemptError, NoAnswer, RetryPolicy, retry};

const RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(200), Duration::from_secs(5));

/// S3 says in this header where a bucket is.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// A bucket, and the folder in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketFolder {
    pub bucket: String,
    /// Empty, or with a slash at its end.
    pub prefix: String,
}

/// Writes objects into a folder of a bucket.
pub struct ObjectWriter<C> {
    folder: BucketFolder,
    aws: SdkConfig,
    http: reqwest::Client,
    clock: C,
    /// That of the bucket, once it is known.
    region: String,
    endpoint: Option<String>,
}

#[derive(Debug)]
struct PutError(Cause);

impl std::fmt::Display for PutError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<NoAnswer> for PutError {
    fn from(no_answer: NoAnswer) -> Self {
        Self(no_answer.into())
    }
}

/// The result of an attempt.
enum Put {
    Stored,
    /// The bucket is in this Region.
    Elsewhere(String),
}

impl BucketFolder {
    /// Parses `s3://bucket/prefix`. `None` if it is no such URL.
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(is_name) {
            return None;
        }
        let prefix = prefix.trim_matches('/');
        // A path with such a segment is sent as another one.
        if prefix.split('/').any(|segment| [".", ".."].contains(&segment)) {
            return None;
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Some(Self { bucket: bucket.to_owned(), prefix })
    }

    /// `s3://bucket/prefix/name`
    pub fn url(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.prefix)
    }
}

impl<C: Clock> ObjectWriter<C> {
    /// # Errors
    /// When there are no root certificates.
    pub async fn new(folder: BucketFolder, aws: &SdkConfig, clock: C) -> reqwest::Result<Self> {
        let key = ServiceConfigKey::builder()
            .service_id("S3")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok();
        let own = aws.service_config().zip(key).and_then(|(config, key)| config.load_config(key));
        Ok(Self {
            folder,
            endpoint: own.or_else(|| aws.endpoint_url().map(str::to_owned)),
            region: aws.region().map_or_else(String::new, ToString::to_string),
            aws: aws.clone(),
            http: http::upload_client()?,
            clock,
        })
    }

    pub fn folder(&self) -> &BucketFolder {
        &self.folder
    }

    /// Writes an object. An earlier one of this name is replaced.
    ///
    /// # Errors
    /// When S3 refuses it, or the deadline passes. Then no part of it is stored, unless the answer was lost.
    pub async fn put(
        &mut self,
        name: &str,
        content_type: &str,
        body: impl Into<Bytes>,
        deadline: Deadline,
    ) -> Result<(), Cause> {
        let body = body.into();
        match self.put_in(&self.region, name, content_type, &body, deadline).await? {
            Put::Stored => Ok(()),
            Put::Elsewhere(region) => {
                let put = self.put_in(&region, name, content_type, &body, deadline).await?;
                self.region = region;
                match put {
                    Put::Stored => Ok(()),
                    Put::Elsewhere(_) => Err(Cause::new("PermanentRedirect", "the bucket moves")),
                }
            }
        }
    }

    async fn put_in(
        &self,
        region: &str,
        name: &str,
        content_type: &str,
        body: &Bytes,
        deadline: Deadline,
    ) -> Result<Put, Cause> {
        let attempt = || self.attempt(region, name, content_type, body);
        let put = retry(RETRY, &self.clock, deadline, || fastrand::u64(..), attempt).await;
        put.map_err(|PutError(cause)| cause)
    }

    async fn attempt(
        &self,
        region: &str,
        name: &str,
        content_type: &str,
        body: &Bytes,
    ) -> Result<Put, AttemptError<PutError>> {
        let permanent = |cause| AttemptError::Permanent(PutError(cause));
        let transient = |cause| AttemptError::Transient(PutError(cause));
        let url = self.object_url(region, name);
        let headers = self.signed(region, &url, content_type, body).await.map_err(permanent)?;
        let request = self.http.put(&url).headers(headers).body(body.clone());
        let answer = request.send().await;
        let answer = answer
            .map_err(|error| transient(Cause::new("unreachable", chain(&error.without_url()))))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Put::Stored);
        }
        let bucket_region = answer.headers().get(BUCKET_REGION).and_then(|at| at.to_str().ok());
        if let Some(other) = bucket_region.filter(|other| *other != region) {
            return Ok(Put::Elsewhere(other.to_owned()));
        }
        let text = http::body(answer, http::BODY_BYTES_MAX).await.unwrap_or_default();
        let cause = answer_cause(status.as_u16(), &String::from_utf8_lossy(&text));
        Err(match status.as_u16() {
            429 | 500.. => transient(cause),
            _ if cause.code == "RequestTimeout" => transient(cause),
            _ => permanent(cause),
        })
    }

    /// The bucket is in the path: a name with a dot has no certificate as a host.
    fn object_url(&self, region: &str, name: &str) -> String {
        let base = match &self.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None if region.starts_with("cn-") => format!("https://s3.{region}.amazonaws.com.cn"),
            None => format!("https://s3.{region}.amazonaws.com"),
        };
        let BucketFolder { bucket, prefix } = &self.folder;
        format!("{base}/{bucket}/{}", percent::path(&format!("{prefix}{name}")))
    }

    /// The headers of the request, signed.
    async fn signed(
        &self,
        region: &str,
        url: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<HeaderMap, Cause> {
        let failed = |error: &dyn std::error::Error| Cause::new("not-signed", chain(error));
        let missing = || Cause::new("no-credentials", "there are no AWS credentials");
        let provider = self.aws.credentials_provider().ok_or_else(missing)?;
        let credentials = provider.provide_credentials().await;
        let credentials =
            credentials.map_err(|error| Cause::new("no-credentials", chain(&error)))?;
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = credentials.into();
        let signing = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("s3")
            .time(
                SystemTime::UNIX_EPOCH
                    + Duration::from_millis(self.clock.now().as_millis().unsigned_abs()),
            )
            .settings(settings)
            .build()
            .map_err(|error| failed(&error))?;
        let headers = [("content-type", content_type)];
        let request =
            SignableRequest::new("PUT", url, headers.into_iter(), SignableBody::Bytes(body))
                .map_err(|error| failed(&error))?;
        let signed = sign(request, &signing.into()).map_err(|error| failed(&error))?;
        let (instructions, _) = signed.into_parts();
        let mut map = HeaderMap::new();
        for (name, value) in instructions.headers().chain(headers) {
            let name =
                reqwest::header::HeaderName::try_from(name).map_err(|error| failed(&error))?;
            map.insert(
                name,
                value
                    .try_into()
                    .map_err(|error| failed(&error as &reqwest::header::InvalidHeaderValue))?,
            );
        }
        Ok(map)
    }
}

/// The code and the message of an error of S3, which is XML.
fn answer_cause(status: u16, xml: &str) -> Cause {
    let element = |name: &str| {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    };
    let code = element("Code").unwrap_or_else(|| format!("http-{status}"));
    let message = element("Message").unwrap_or_else(|| format!("S3 answered {status}"));
    Cause::new(code, message)
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::SharedCredentialsProvider;

    use super::*;
    use crate::model::time::Timestamp;

    #[test]
    fn a_folder_of_a_bucket_is_a_url() {
        let folder = |bucket: &str, prefix: &str| {
            Some(BucketFolder { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        };
        assert_eq!(BucketFolder::parse("s3://logs"), folder("logs", ""));
        assert_eq!(BucketFolder::parse("s3://logs.example/"), folder("logs.example", ""));
        assert_eq!(BucketFolder::parse("s3://logs/a/b//"), folder("logs", "a/b/"));
        for other in ["logs", "s3:/logs", "s3://", "s3://Lo", "s3://a b/c", "s3://user:pw@x/c"] {
            assert_eq!(BucketFolder::parse(other), None, "{other}");
        }
        assert_eq!(folder("logs", "a/").unwrap().url("b"), "s3://logs/a/b");
    }

    struct Fixed(Timestamp);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            self.0
        }

        async fn sleep(&self, _: Duration) {
            unreachable!("a signature needs no sleep")
        }
    }

    /// As botocore's `S3SigV4Auth` signs it at that time.
    #[tokio::test]
    async fn a_signature_is_that_of_other_clients() {
        let credentials = aws_credential_types::Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI",
            None,
            None,
            "test",
        );
        let aws = SdkConfig::builder()
            .region(aws_types::region::Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let folder = BucketFolder::parse("s3://logs.example/alerts").unwrap();
        let clock = Fixed(Timestamp::from_millis(1_795_443_306_789));
        let writer = ObjectWriter::new(folder, &aws, clock).await.unwrap();
        let url = writer.object_url("eu-west-1", "day=2026-11-23/a b.gz");
        let path = "logs.example/alerts/day%3D2026-11-23/a%20b.gz";
        assert_eq!(url, format!("https://s3.eu-west-1.amazonaws.com/{path}"));
        let signed = writer.signed("eu-west-1", &url, "application/gzip", b"rows").await.unwrap();
        let header = |name: &str| signed[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-amz-date"), "20261123T141506Z");
        assert_eq!(
            header("authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/eu-west-1/s3/aws4_request, \
             SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, \
             Signature=c7644387d3c43056ab925df70711a8613910c73c914fab7c15301cff35f938b5"
        );
        let china = writer.object_url("cn-north-1", "a");
        assert!(china.starts_with("https://s3.cn-north-1.amazonaws.com.cn/logs.example/"));
    }

    #[test]
    fn an_error_is_read() {
        let xml = "<?xml?><Error><Code>NoSuchBucket</Code><Message>The bucket</Message></Error>";
        assert_eq!(answer_cause(404, xml), Cause::new("NoSuchBucket", "The bucket"));
        assert_eq!(answer_cause(403, "denied"), Cause::new("http-403", "S3 answered 403"));
    }
}
