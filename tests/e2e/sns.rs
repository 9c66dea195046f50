//! Delivery to SNS, with moto as AWS: a queue that subscribes to the topic receives the messages.

use std::time::Duration;

use crate::emulator::Surroundings;
use crate::support::alert;
use crate::support::target_services::{Secret, TargetServices};
use aws_sdk_secretsmanager as secrets;
use aws_sdk_sns as sns;
use aws_sdk_sqs as sqs;
use aws_types::SdkConfig;
use serde_json::{Value, json};
use stentor::adapters::aws::loopback;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::embedded::Embedded;
use stentor::adapters::http;
use stentor::adapters::secret::Secrets;
use stentor::adapters::slack::Slack;
use stentor::adapters::sns::Sns;
use stentor::adapters::targets::Targets;
use stentor::model::digest::Digest;
use stentor::model::name::Severity;
use stentor::model::tally::Tally;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Deliver as _, DeliverError};
use stentor::protocol::round::DeliveryOutcome;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

/// A subscriber of a topic.
struct Subscriber {
    queue: sqs::Client,
    url: String,
    topic: String,
}

impl Subscriber {
    async fn start(aws: &SdkConfig) -> Self {
        let (queue, topics) = (sqs::Client::new(aws), sns::Client::new(aws));
        let url = queue.create_queue().queue_name("phone").send().await.unwrap().queue_url.unwrap();
        let topic = topics.create_topic().name("oncall").send().await.unwrap().topic_arn.unwrap();
        let arn = topic.replace(":sns:", ":sqs:").replace(":oncall", ":phone");
        topics.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn).send().await.unwrap();
        Self { queue, url, topic }
    }

    /// Subject and document of the messages since the last call: a received message stays hidden.
    async fn read(&self) -> Vec<(String, String)> {
        let receive = self
            .queue
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .visibility_timeout(43_200);
        let messages = receive.send().await.unwrap().messages.unwrap_or_default();
        let read = |message: sqs::types::Message| {
            let body: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            let text = |key: &str| body[key].as_str().unwrap().to_owned();
            (text("Subject"), text("Message"))
        };
        messages.into_iter().map(read).collect()
    }
}

fn targets(aws: &SdkConfig, secret: &Value) -> Targets<Secret> {
    let slack = Slack::new(http::client().unwrap(), SystemClock);
    Targets::new(slack, Secrets::new(Secret(secret.to_string())), SystemClock)
        .with_sns(Sns::new(aws, SystemClock))
}

fn digest() -> Digest {
    Digest::new(
        &"critical".parse().unwrap(),
        &"sns:oncall".parse().unwrap(),
        Some(Severity::Critical),
        (1, 1),
        Tally::of(&[alert("1", &["critical"]), alert("2", &["critical"])]),
    )
}

async fn publish(aws: &SdkConfig, credential: Value, within: Duration) -> Result<(), DeliverError> {
    let targets = targets(aws, &json!({"sns:oncall": credential}));
    targets.deliver(&digest(), None, Deadline::after(SystemClock.now(), within)).await.map(drop)
}

#[tokio::test]
async fn a_topic_accepts_only_with_a_message_id() {
    let xml = |inside: &str| {
        format!(
            "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">{inside}</PublishResponse>"
        )
    };
    let result =
        |id: &str| xml(&format!("<PublishResult><MessageId>{id}</MessageId></PublishResult>"));
    let cases = [
        (result("567910cd-659e-55d4-8ccb-5aaf14679dc0"), true),
        (result(""), false),
        (xml("<PublishResult></PublishResult>"), false),
        (xml(""), false),
        (String::new(), false),
        ("{}".to_owned(), false),
        ("<html>Sign in to WiFi</html>".to_owned(), false),
    ];
    for (body, is_accepted) in cases {
        let topic = MockServer::start().await;
        let answer = ResponseTemplate::new(200).set_body_raw(body.clone(), "text/xml");
        Mock::given(matchers::any()).respond_with(answer).mount(&topic).await;
        let arn = json!("arn:aws:sns:eu-west-1:123456789012:oncall");
        let outcome = publish(&loopback(&topic.uri()), arn, Duration::from_secs(30)).await;
        match outcome {
            Ok(()) => assert!(is_accepted, "{body}"),
            Err(DeliverError::Retry { reason, .. }) => {
                assert!(!is_accepted && reason.text.starts_with("SNS "), "{body}: {reason}")
            }
            Err(error) => panic!("{body}: {error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_gets_a_readable_message_and_every_failure_has_its_class() {
    let surroundings = Surroundings::start("https://example.com").await;
    let aws = surroundings.aws();
    let subscriber = Subscriber::start(aws).await;
    let soon = Duration::from_secs(10);
    for credential in [json!(subscriber.topic), json!({"topic_arn": subscriber.topic})] {
        publish(aws, credential, soon).await.unwrap();
        let (subject, text) = subscriber.read().await.remove(0);
        assert_eq!(subject, "[CRITICAL] order 1 failed - 2 alerts");
        // A queue gets the document for programs.
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["title"], "🔴 [CRITICAL] order 1 failed · 2 alerts");
        assert_eq!((&document["alerts"], &document["route"]), (&json!(2), &json!("critical")));
    }
    let refused = [
        (json!(subscriber.topic.replace("oncall", "missing")), "SNS answered NotFound"),
        (json!("oncall"), "expected the ARN of an SNS topic"),
        (json!({"token": "topsecret"}), "expected the ARN of an SNS topic"),
    ];
    for (credential, expected) in refused {
        let error = publish(aws, credential, soon).await.unwrap_err();
        assert!(
            matches!(&error, DeliverError::Refused { reason } if reason.text.contains(expected)),
            "{error:?}"
        );
    }
    let slow = MockServer::start().await;
    Mock::given(matchers::any())
        .respond_with(ResponseTemplate::new(200).set_delay(soon))
        .mount(&slow)
        .await;
    let down = MockServer::start().await;
    Mock::given(matchers::any()).respond_with(ResponseTemplate::new(503)).mount(&down).await;
    let retried = [
        (slow.uri(), "SNS did not answer in time"),
        (down.uri(), "SNS "),
        ("http://127.0.0.1:9".to_owned(), "SNS could not be reached"),
    ];
    for (endpoint, expected) in retried {
        let topic = json!(subscriber.topic);
        let error =
            publish(&loopback(&endpoint), topic, Duration::from_millis(700)).await.unwrap_err();
        assert!(
            matches!(&error, DeliverError::Retry { reason, .. } if reason.text.starts_with(expected)),
            "{error:?}"
        );
    }
    assert_eq!(
        down.received_requests().await.unwrap().len(),
        1,
        "the caller decides about a retry"
    );

    // The fallback gets a message that Slack refuses, with the reason.
    let slack = MockServer::start().await;
    let gone = ResponseTemplate::new(410).set_body_string("channel_is_archived");
    Mock::given(matchers::any()).respond_with(gone).mount(&slack).await;
    let engine = Embedded::start(None).await.unwrap();
    let config = "[[route]]\nname=\"critical\"\nmarkers=[\"[CRITICAL]\"]\nnotify=[\"slack:ops\"]\nfallback=\"sns:oncall\"";
    let secret = json!({"slack:ops": slack.uri(), "sns:oncall": subscriber.topic});
    let services = TargetServices::new(&engine, config, targets(aws, &secret)).await;
    let outcomes: Vec<DeliveryOutcome> =
        services.minute("a", 3).await.into_iter().map(|sent| sent.outcome).collect();
    assert!(
        matches!(&outcomes[..], [DeliveryOutcome::Parked(_), DeliveryOutcome::Accepted]),
        "{outcomes:?}"
    );
    let delivered = subscriber.read().await;
    assert_eq!((delivered.len(), &*delivered[0].0), (1, "Fallback: [CRITICAL] no - 3 alerts"));
    let reason = "Sent to sns:oncall as the fallback: slack:ops refused it: Slack answered 410:";
    assert!(delivered[0].1.contains(reason), "{}", delivered[0].1);

    // The command line delivers in the same way, with a credential from Secrets Manager.
    let create = secrets::Client::new(aws).create_secret().name("topics");
    create.secret_string(json!({"sns:oncall": subscriber.topic}).to_string()).send().await.unwrap();
    let output = surroundings
        .stentor(&["send-test", "sns:oncall", "--secret-id", "topics"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "sns:oncall accepted the message.\n",
        "{output:?}"
    );
    let subject = subscriber.read().await.remove(0).0;
    assert!(subject.starts_with("[TEST] Stentor can deliver to this t"), "{subject}");
    assert!(subject.ends_with(" - 1 alert"), "{subject}");
}
