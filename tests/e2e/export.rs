//! `stentor export` to S3, on moto, and what S3 refuses.

use std::path::Path;

use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::emulator::Surroundings;
use crate::python::python;

const S3: &str = r#"
import boto3, gzip, json, os, sys
s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=os.environ["MOTO"],
                  aws_access_key_id="test", aws_secret_access_key="test")
if sys.argv[1] == "create":
    s3.create_bucket(Bucket="archive")
else:
    found = s3.list_objects_v2(Bucket="archive").get("Contents", [])
    body = lambda key: s3.get_object(Bucket="archive", Key=key)["Body"].read()
    print(json.dumps({each["Key"]: len(gzip.decompress(body(each["Key"])).splitlines())
                      if each["Key"].endswith(".gz") else body(each["Key"])[:4].decode() for each in found}))
"#;

/// The objects of the bucket: how many lines each has, or how it begins.
async fn s3(surroundings: &Surroundings, what: &str) -> Value {
    let moto = surroundings.aws().endpoint_url().unwrap();
    let mut command = tokio::process::Command::new(python());
    let output = command.args(["-c", S3, what]).env("MOTO", moto).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn data() -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-export");
    std::fs::remove_dir_all(&directory).ok();
    directory.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_exported_to_a_bucket_for_athena() {
    let surroundings = Surroundings::start("").await;
    let data = data();
    let stentor = async |arguments: &[&str], more: &[(&str, &str)]| {
        let mut command = surroundings.stentor(arguments);
        command.args(["--data-dir", &data]).envs(more.iter().copied());
        let output = tokio::process::Command::from(command).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, error) = stentor(&["run", "events/kinesis-burst.json"], &[]).await;
    assert_eq!(code, Some(0), "{error}");
    let to = |place: &'static str| ["export", "--to", place, "--json"];

    let (code, _, error) = stentor(&to("s3://archive/alerts"), &[]).await;
    assert!(code == Some(2) && error.contains("the bucket archive does not exist"), "{error}");
    s3(&surroundings, "create").await;
    let (code, report, error) = stentor(&to("s3://archive/all alerts/"), &[]).await;
    assert_eq!(code, Some(0), "{error}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["alerts"], 180, "{report}");
    let lines = [&to("s3://archive/lines")[..], &["--format", "jsonl"]].concat();
    for _ in 0..2 {
        let (code, _, error) = stentor(&lines, &[]).await;
        assert_eq!(code, Some(0), "{error}");
    }
    let objects = s3(&surroundings, "list").await;
    let objects = objects.as_object().unwrap();
    let day = |name: &str| name.split('/').nth(1).unwrap().starts_with("day=");
    assert!(objects.keys().all(|name| day(name)), "{objects:?}");
    let parquet: Vec<_> =
        objects.iter().filter(|(name, _)| name.starts_with("all alerts/")).collect();
    assert!(
        !parquet.is_empty() && parquet.iter().all(|(_, start)| **start == json!("PAR1")),
        "{objects:?}"
    );
    let lines: u64 = objects.values().filter_map(Value::as_u64).sum();
    assert_eq!(lines, 180, "a repetition replaces: {objects:?}");

    // S3 that denies, that is busy for a moment, and a bucket of another Region.
    let busy = MockServer::start().await;
    let answer = |status: u16, code: &str| {
        ResponseTemplate::new(status)
            .set_body_string(format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
    };
    let endpoint = busy.uri();
    let at = [("AWS_ENDPOINT_URL_S3", endpoint.as_str())];
    let puts = |status: u16, code: &str, times| {
        Mock::given(method("PUT"))
            .respond_with(answer(status, code))
            .up_to_n_times(times)
            .mount(&busy)
    };
    puts(403, "AccessDenied", 1).await;
    let (code, _, error) = stentor(&to("s3://archive/denied"), &at).await;
    assert!(code == Some(2) && error.contains("may not write s3://archive/denied/day="), "{error}");
    assert!(error.contains("hint: allow s3:PutObject"), "{error}");
    assert!(!error.contains("test/"), "no credential is shown: {error}");
    puts(503, "SlowDown", 2).await;
    let elsewhere =
        answer(301, "PermanentRedirect").insert_header("x-amz-bucket-region", "eu-west-1");
    Mock::given(method("PUT")).respond_with(elsewhere).up_to_n_times(1).mount(&busy).await;
    Mock::given(method("PUT")).respond_with(ResponseTemplate::new(200)).mount(&busy).await;
    let (code, _, error) = stentor(&to("s3://archive/later"), &at).await;
    assert_eq!(code, Some(0), "{error}");
    let requests = busy.received_requests().await.unwrap();
    let signed: Vec<&str> =
        requests.iter().map(|request| request.headers["authorization"].to_str().unwrap()).collect();
    assert!(
        signed[1].contains("/us-east-1/s3/") && signed.last().unwrap().contains("/eu-west-1/s3/"),
        "{signed:?}"
    );
}
