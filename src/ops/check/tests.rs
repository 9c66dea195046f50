use super::*;

fn good() -> Facts {
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
    Facts {
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

fn mapping(facts: &mut Facts) -> &mut Mapping {
    &mut facts.mappings.as_mut().unwrap()[0]
}

#[test]
fn what_the_template_deploys_is_good() {
    let findings = judge(&good(), &Config::builtin());
    assert!(findings.iter().all(|finding| finding.good && finding.remedy.is_none()), "{findings:#?}");
    assert_eq!(findings.len(), 12);
}

#[test]
fn each_fault_is_found_alone_and_has_its_remedy() {
    let check = |what: &str, remedy: &str, spoil: fn(&mut Facts)| {
        let mut facts = good();
        spoil(&mut facts);
        let bad: Vec<Finding> = judge(&facts, &Config::builtin()).into_iter().filter(|finding| !finding.good).collect();
        let [finding] = &bad[..] else { panic!("{what}: {bad:#?}") };
        assert!(finding.what.contains(what), "{what}: {finding:?}");
        assert!(finding.remedy.as_ref().unwrap().contains(remedy), "{what}: {finding:?}");
    };
    check("table AppLogs has other keys", "by_hour over hour, timestamp", |facts| {
        facts.alerts.as_mut().unwrap().by_hour.clear();
    });
    check("the outbox table cannot be looked at", "--region", |facts| facts.outbox = Err("see --region".into()));
    check("for 4 d only", "1209600", |facts| {
        facts.dead_letters.as_mut().unwrap().retention = Duration::from_hours(96);
    });
    check("takes 262144 bytes only", "1048576", |facts| {
        facts.dead_letters.as_mut().unwrap().message_bytes_max = 262_144;
    });
    check("due queue does not hand", "arn:dlq", |facts| {
        facts.due.as_mut().unwrap().as_mut().unwrap().redrives_to = None;
    });
    check("no credential for slack:default", "put-secret-value", |facts| facts.credentials = Ok(BTreeSet::new()));
    check("mapping of logs is disabled", "enable it", |facts| mapping(facts).enabled = false);
    check("takes no partial failures", "ReportBatchItemFailures", |facts| mapping(facts).reports_item_failures = false);
    check("drops what it gives up on", "OnFailure", |facts| mapping(facts).on_failure = None);
    check("no longer than they are tried", "to 86400", |facts| mapping(facts).age_max = Some(Duration::from_hours(48)));
    check("are tried until they are gone", "to 86400", |facts| mapping(facts).age_max = None);
    check("given up after 3 attempts", "-1", |facts| mapping(facts).attempts_max = Some(3));
    check("subscription filter all reads /aws/lambda/x", "take it away", |facts| {
        facts.own_logs = Ok(vec![("/aws/lambda/x".into(), "all".into())]);
    });
    check("account policy all reads /aws/lambda/x", "exclude the group", |facts| {
        facts.policies = Ok(vec![("/aws/lambda/x".into(), "all".into())]);
    });
}

#[test]
fn a_stack_without_a_stream_or_a_due_queue_is_good_too() {
    let facts = Facts { due: None, mappings: Ok(vec![]), ..good() };
    assert!(judge(&facts, &Config::builtin()).iter().all(|finding| finding.good));
}
