use super::*;

fn good() -> Snapshot {
    let queue = |arn: &str, redrives_to: Option<&str>| Queue {
        url: String::new(),
        arn: arn.into(),
        retention: RETENTION_MAX,
        message_bytes_max: MESSAGE_BYTES_MAX,
        redrives_to: redrives_to.map(Into::into),
    };
    let strings =
        |strings: &[&str]| strings.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let stream = "arn:aws:kinesis:eu-west-1:1:stream/logs";
    let mapping = Mapping {
        function: "stentor-consumer".into(),
        source_arn: stream.into(),
        enabled: true,
        reports_item_failures: true,
        on_failure: Some("arn:aws:s3:::batches".into()),
        age_max: Some(Duration::from_hours(24)),
        attempts_max: None,
    };
    Snapshot {
        function: "stentor-consumer".into(),
        alerts: Ok(TableState {
            name: "AppLogs".into(),
            keys: strings(&["log_id"]),
            by_hour: strings(&["hour", "timestamp"]),
        }),
        outbox: Ok(TableState {
            name: "Outbox".into(),
            keys: strings(&["pk", "sk"]),
            by_hour: vec![],
        }),
        dead_letters: Ok(queue("arn:dlq", None)),
        due: Some(Ok(queue("arn:due", Some("arn:due-dlq")))),
        credentials: Ok([("slack:default".parse().unwrap(), CredentialState::Valid)].into()),
        mappings: Ok(vec![mapping]),
        streams: [(stream.to_owned(), Ok(Duration::from_hours(48)))].into(),
        own_logs: Ok(vec![]),
        policies: Ok(vec![]),
    }
}

/// A subscription filter or an account policy on the functions' own log group.
fn reader() -> Vec<(String, String)> {
    vec![("/aws/lambda/x".into(), "all".into())]
}

fn mapping(snapshot: &mut Snapshot) -> &mut Mapping {
    &mut snapshot.mappings.as_mut().unwrap()[0]
}

#[test]
fn the_deployment_of_the_template_is_good() {
    let findings = evaluate(&good());
    assert!(
        findings.iter().all(|finding| finding.good && finding.remedy.is_none()),
        "{findings:#?}"
    );
    assert_eq!(findings.len(), 12);
}

fn credential(snapshot: &mut Snapshot, state: CredentialState) {
    snapshot.credentials = Ok([("slack:default".parse().unwrap(), state)].into());
}

#[test]
fn each_fault_has_its_code_and_its_remedy() {
    let check = |code: &str, remedy: &str, spoil: fn(&mut Snapshot)| {
        let mut snapshot = good();
        spoil(&mut snapshot);
        let mut bad = evaluate(&snapshot);
        bad.retain(|finding| !finding.good);
        let [finding] = &bad[..] else { panic!("{code}: {bad:#?}") };
        assert_eq!(finding.rule.code(), code);
        assert!(finding.remedy.as_ref().unwrap().contains(remedy), "{code}: {finding:?}");
    };
    check("table-keys", "by_hour over hour, timestamp", |snapshot| {
        snapshot.alerts.as_mut().unwrap().by_hour.clear();
    });
    check("readable", "--region", |snapshot| snapshot.outbox = Err("see --region".into()));
    check("dead-letter-retention", "1209600", |snapshot| {
        snapshot.dead_letters.as_mut().unwrap().retention = Duration::from_hours(96);
    });
    check("dead-letter-size", "1048576", |snapshot| {
        snapshot.dead_letters.as_mut().unwrap().message_bytes_max = 262_144;
    });
    check("due-queue-redrive", "a queue of its own", |snapshot| {
        snapshot.due.as_mut().unwrap().as_mut().unwrap().redrives_to = None;
    });
    check("due-queue-redrive", "another queue", |snapshot| {
        snapshot.due = Some(Ok(Queue { redrives_to: Some("arn:dlq".into()), ..Queue::default() }));
    });
    check("credential", "put-secret-value", |snapshot| {
        credential(snapshot, CredentialState::Missing);
    });
    check("credential", "put-secret-value", |snapshot| {
        credential(snapshot, CredentialState::Malformed("it is not a URL".into()));
    });
    check("mapping-enabled", "enable it", |snapshot| mapping(snapshot).enabled = false);
    check("mapping-item-failures", "ReportBatchItemFailures", |snapshot| {
        mapping(snapshot).reports_item_failures = false
    });
    check("mapping-on-failure", "OnFailure", |snapshot| mapping(snapshot).on_failure = None);
    check("stream-retention", "to 86400", |snapshot| {
        mapping(snapshot).age_max = Some(Duration::from_hours(48))
    });
    check("stream-retention", "to 86400", |snapshot| mapping(snapshot).age_max = None);
    check("retry-attempts", "-1", |snapshot| mapping(snapshot).attempts_max = Some(3));
    check("own-logs-filter", "remove it", |snapshot| snapshot.own_logs = Ok(reader()));
    check("own-logs-policy", "exclude the log group", |snapshot| snapshot.policies = Ok(reader()));
}

#[test]
fn a_finding_says_what_is_wrong() {
    let mut snapshot = good();
    snapshot.dead_letters.as_mut().unwrap().retention = Duration::from_hours(96);
    snapshot.own_logs = Ok(vec![("/aws/lambda/x".into(), "all".into())]);
    mapping(&mut snapshot).age_max = Some(Duration::from_hours(48));
    let findings = evaluate(&snapshot);
    let bad: Vec<&str> =
        findings.iter().filter(|finding| !finding.good).map(|finding| &*finding.text).collect();
    let expected = [
        "the dead-letter queue keeps messages for 4 d only",
        "the stream logs keeps records for 2 d, no longer than they are retried",
        "the subscription filter all reads /aws/lambda/x",
    ];
    assert_eq!(bad, expected);
}

#[test]
fn a_stack_without_a_stream_or_a_due_queue_is_good() {
    let snapshot = Snapshot { due: None, mappings: Ok(vec![]), ..good() };
    assert!(evaluate(&snapshot).iter().all(|finding| finding.good));
}
