use super::*;

#[test]
fn filters_admit_what_is_meant() {
    let at = Timestamp::from_millis;
    let opened = |kind, code: &str, parked_at| DeadLetter {
        kind,
        code: code.into(),
        reason: "decodes to more than 1 bytes".into(),
        account: None,
        parked_at,
        content: Content::Unknown(String::new()),
    };
    let all = Options::default();
    let records = Options { kinds: vec![Kind::Record], ..Options::default() };
    let large = Options { reason: Some("too-large".into()), ..Options::default() };
    let part = Options { reason: Some("more than".into()), ..Options::default() };
    let late = Options { since: Some(at(10)), ..Options::default() };
    let parked = opened(Kind::Record, "too-large", Some(at(10)));
    for options in [&all, &records, &large, &part, &late] {
        assert!(options.admit(&parked), "{options:?}");
    }
    assert!(!records.admit(&opened(Kind::Message, "x", None)));
    assert!(!large.admit(&opened(Kind::Record, "not-gzip", None)));
    assert!(!late.admit(&opened(Kind::Record, "x", Some(at(9)))));
    assert!(late.admit(&opened(Kind::Record, "x", None)), "of unknown age: rather too many than too few");
}

#[test]
fn what_a_stream_forgot_is_counted() {
    let range = |records| Range {
        stream_arn: "arn".into(),
        shard_id: "shardId-0".into(),
        first: "5".into(),
        last: "9".into(),
        records,
    };
    assert_eq!(gone(&range(Some(5)), 5, Some("5")), None);
    assert_eq!(gone(&range(Some(5)), 2, Some("8")).unwrap().0, 3);
    assert_eq!(gone(&range(Some(5)), 0, None).unwrap().0, 5);
    assert_eq!(gone(&range(None), 3, Some("5")), None);
    assert_eq!(gone(&range(None), 3, Some("6")).unwrap().0, 1);
}
