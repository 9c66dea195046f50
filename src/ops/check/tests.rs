use super::*;

fn good() -> Snapshot {
    let queue = |arn: &str, redrives_to: Option<&str>| Queue {
        url: String::new(),
        arn: arn.into(),
        retention: RETENTION_MAX,
        message_bytes_max: MESSAGE_BYTES_MAX,
        redrives_to: redrives_to.map(Into::into),
    };
    let strings = |strings: &[&str]| strings.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let stream = "arn:aws:kinesis:eu-west-1:1:stream/logs";
    let mapping = Mapping {
        function: "stentor-consumer".into(),
        source_arn: stream.into(),
        enabled: true,
        reports_item_failures: true,
        on_failure: Some("arn:dlq".into()),
        age_max: Some(Duration::from_hours(24)),
        attempts_max: None,
    };
    Snapshot {
        function: "stentor-consumer".into(),
        alerts: Ok(Table {
            name: "AppLogs".into(),
            keys: strings(&["log_id"]),
            by_hour: strings(&["hour", "timestamp"]),
        }),
        outbox: Ok(Table { name: "Outbox".into(), keys: strings(&["pk", "sk"]), by_hour: vec![] }),
        dead_letters: Ok(queue("arn:dlq", None)),
        due: Some(Ok(queue("arn:due", Some("arn:dlq")))),
        credentials: Ok(["slack:default".to_owned()].into()),
        mappings: Ok(vec![mapping]),
        streams: [(stream.to_owned(), Ok(Duration::from_hours(48)))].into(),
        own_logs: Ok(vec![]),
        policies: Ok(vec![]),
    }
}

fn mapping(snapshot: &mut Snapshot) -> &mut Mapping {
    &mut snapshot.mappings.as_mut().unwrap()[0]
}

#[test]
fn what_the_template_deploys_is_good() {
    let findings = evaluate(&good(), &Config::builtin());
    assert!(findings.iter().all(|finding| finding.good && finding.remedy.is_none()), "{findings:#?}");
    assert_eq!(findings.len(), 12);
}

#[test]
fn each_fault_is_found_alone_and_has_its_remedy() {
    let check = |what: &str, remedy: &str, spoil: fn(&mut Snapshot)| {
        let mut snapshot = good();
        spoil(&mut snapshot);
        let bad: Vec<Finding> =
            evaluate(&snapshot, &Config::builtin()).into_iter().filter(|finding| !finding.good).collect();
        let [finding] = &bad[..] else { panic!("{what}: {bad:#?}") };
        assert!(finding.what.contains(what), "{what}: {finding:?}");
        assert!(finding.remedy.as_ref().unwrap().contains(remedy), "{what}: {finding:?}");
    };
    check("table AppLogs has other keys", "by_hour over hour, timestamp", |snapshot| {
        snapshot.alerts.as_mut().unwrap().by_hour.clear();
    });
    check("the outbox table cannot be looked at", "--region", |snapshot| snapshot.outbox = Err("see --region".into()));
    check("for 4 d only", "1209600", |snapshot| {
        snapshot.dead_letters.as_mut().unwrap().retention = Duration::from_hours(96);
    });
    check("takes 262144 bytes only", "1048576", |snapshot| {
        snapshot.dead_letters.as_mut().unwrap().message_bytes_max = 262_144;
    });
    check("due queue does not hand", "arn:dlq", |snapshot| {
        snapshot.due.as_mut().unwrap().as_mut().unwrap().redrives_to = None;
    });
    check("no credential for slack:default", "put-secret-value", |snapshot| snapshot.credentials = Ok(BTreeSet::new()));
    check("mapping of logs is disabled", "enable it", |snapshot| mapping(snapshot).enabled = false);
    check("takes no partial failures", "ReportBatchItemFailures", |snapshot| {
        mapping(snapshot).reports_item_failures = false
    });
    check("drops what it gives up on", "OnFailure", |snapshot| mapping(snapshot).on_failure = None);
    check("no longer than they are tried", "to 86400", |snapshot| {
        mapping(snapshot).age_max = Some(Duration::from_hours(48))
    });
    check("are tried until they are gone", "to 86400", |snapshot| mapping(snapshot).age_max = None);
    check("given up after 3 attempts", "-1", |snapshot| mapping(snapshot).attempts_max = Some(3));
    check("subscription filter all reads /aws/lambda/x", "take it away", |snapshot| {
        snapshot.own_logs = Ok(vec![("/aws/lambda/x".into(), "all".into())]);
    });
    check("account policy all reads /aws/lambda/x", "exclude the group", |snapshot| {
        snapshot.policies = Ok(vec![("/aws/lambda/x".into(), "all".into())]);
    });
}

#[test]
fn a_stack_without_a_stream_or_a_due_queue_is_good_too() {
    let snapshot = Snapshot { due: None, mappings: Ok(vec![]), ..good() };
    assert!(evaluate(&snapshot, &Config::builtin()).iter().all(|finding| finding.good));
}
