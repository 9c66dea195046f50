use proptest::prelude::*;

use super::*;
use crate::model::pattern::{PATTERN_BYTES_MAX, Pattern};

/// Lines that say the same, of many kinds of systems.
const SAME: &[&[&str]] = &[
    &[
        r#"10.11.10.1 "GET /v2/54fadb412c4e40cdbaed9335e4c35a9e/servers/detail HTTP/1.1" status: 200 len: 1893 time: 0.2477829"#,
        r#"10.11.10.1 "GET /latest/meta-data/instance-id HTTP/1.1" status: 404 len: 291 time: 0.1"#,
    ],
    &[
        "[instance: b9000564-fe1a-409b-b8cc-1e88b294cd1d] VM Started (Lifecycle Event)",
        "[instance: 78dc1847-8848-49cc-933e-9239b12c9dcf] VM Started (Lifecycle Event)",
    ],
    &["Total memory: 64172 MB, used: 512.00 MB", "Total memory: 4 GB, used: 2560.00 MB"],
    &[
        "Block broadcast_9 stored as values in memory (estimated size 384.0 B, free 317.5 KB)",
        "Block broadcast_12 stored as values in memory (estimated size 8.8 KB, free 1.2 MB)",
    ],
    &["Found block rdd_42_20 locally", "Found block rdd_2_1 locally"],
    &["Running task 0.0 in stage 1.0 (TID 3)", "Running task 39.0 in stage 28.0 (TID 1417)"],
    &[
        "mapred.tip.id is deprecated. Instead, use mapreduce.task.id",
        "mapred.task.id is deprecated. Instead, use mapreduce.task.attempt.id",
        "mapred.task.is.map is deprecated. Instead, use mapreduce.task.ismap",
        "mapred.task.partition is deprecated. Instead, use mapreduce.task.partition",
        "mapred.job.id is deprecated. Instead, use mapreduce.job.id",
    ],
    &[
        "DHCPDISCOVER from 00:11:43:e3:b1:c3 via eth1",
        "DHCPDISCOVER from 00:14:aa:b2:12:34 via eth0",
    ],
    &[
        "ciod: Error reading message prefix on CioStream socket to 172.16.96.116:33370, Link has been severed",
        "ciod: Error reading message prefix on CioStream socket to 172.16.96.7:3370, Link has been severed",
    ],
    &["CE sym 2, at 0x0b85eee0, mask 0x05", "CE sym 20, at 0x1438f9e0, mask 0x40"],
    &["iar 00105e4c dear 00ef5a84", "iar 00106570 dear 0245a358"],
    &["generating core.2275", "generating core.862"],
    &[
        r#"Loaded Servicing Stack v6.1.7601.23505 with Core: C:\Windows\winsxs\amd64_microsoft-windows-servicingstack_31bf3856ad364e35_6.1.7601.23505_none_681aa442f6fed7f0\cbscore.dll"#,
        r#"Loaded Servicing Stack v6.1.7601.23505 with Core: C:\Windows\winsxs\amd64_other_7b\cbscore.dll"#,
    ],
    &[
        "Read out cached package applicability for package: Package_for_KB3123862~31bf3856ad364e35~amd64~~6.1.1.1, ApplicableState: 112, CurrentState:101",
        "Read out cached package applicability for package: Package_2_for_KB2~31bf3856ad364e35~amd64~~6.1.1.0, ApplicableState: 0, CurrentState:0",
    ],
    &[
        "00000001 Created NT transaction (seq 2) result 0x00000000, handle @0x214",
        "00000004 Created NT transaction (seq 12) result 0x00000000, handle @0x21c",
    ],
    &[
        "Session: 30546354_3247256820 initialized by client WindowsUpdateAgent.",
        "Session: 30546354_3300 initialized by client WindowsUpdateAgent.",
    ],
    &[
        "getTodayTotalDetailSteps = 1514038440000##6993##548365##8661##12266##27164404",
        "getTodayTotalDetailSteps = 1514038530000##7##548365##8661##12266##1",
    ],
    &["Temperature (41C) exceeds warning threshold", "Temperature (39C) exceeds warning threshold"],
    &["node node-70 detected psu failure", "node node-128 detected psu failure"],
    &["ambient=28", "ambient=31"],
    &[
        "AirPort: Link Down on awdl0. Reason 1 (Unspecified).",
        "AirPort: Link Down on awdl0. Reason 8 (Unspecified).",
    ],
    &["en0: BSSID changed to 5c:50:15:4c:18:13", "en0: BSSID changed to 5c:50:15:36:bc:03"],
    &["(root) CMD (run-parts /etc/cron.hourly)", "(root) CMD (run-parts /etc/cron.daily)"],
    &["error: Foo took 1m20s", "error: Foo took 12.3s"],
    &[
        "connect to db-01.prod.example.com:5432 failed: connection refused",
        "connect to 10.0.3.4:5432 failed: connection refused",
    ],
    &["mail to ann@example.com bounced", "mail to bob.o@mail.example.org bounced"],
    &[
        "pod payments-7c9d8f6b5-x2v9k was evicted from node ip-10-0-3-0.ec2.internal",
        "pod payments-7c9d8f6b5-hhfzk was evicted from node ip-10-0-3-1.ec2.internal",
        "pod payments-7c9d8f6b5-mnbvc was evicted from node ip-10-0-3-1.ec2.internal",
    ],
    &[
        r#"level=error msg="payment was refused" user=ann plan=free pod=payments-7c9d8f6b5-x2v9k"#,
        r#"level=error msg="payment was refused" user=bob plan=pro pod=payments-7c9d8f6b5-bd4wt"#,
    ],
    &[
        r#"{"log":"{\"user\": \"ann\", \"message\": \"store is gone\"}"}"#,
        r#"{"log":"{\"user\": \"bob\", \"message\": \"store is gone\"}"}"#,
    ],
    &["order 7 of customer C-1002 failed", "order 1008 of customer C-9 failed"],
    &["2026-11-23T14:15:16.123Z x", "2026-11-23 14:15:16,123 x"],
    &[
        "GET https://api.example.com/v1/users/42?token=abc&x=1 returned 500",
        "GET https://api.example.com/v1/users/7?token=dd&x=z returned 500",
    ],
    &["slow query: 1,204 ms", "slow query: 33 ms"],
    &["slow query: 1204ms", "slow query: 3.2s"],
    &["memory at 93% on i-0abc1234def567890", "memory at 9.5% on i-0bbb1234def567891"],
    &[
        "arn:aws:lambda:eu-west-1:123456789012:function:checkout timed out",
        "arn:aws:lambda:eu-west-1:123456789013:function:checkout timed out",
    ],
    &["checkpoint at /var/lib/db/a1b2c3/wal failed", "checkpoint at /var/lib/db/zz9fff/wal failed"],
    &["read 0x7f3a9c at eip 0xc0101234", "read 0x1 at eip 0xdeadbeef"],
    &["session opened for user root by (uid=0)", "session opened for user news by (uid=0)"],
    &["temp -3.5 C too low", "temp 12 C too low"],
];

/// Lines with different causes.
const APART: &[&[&str]] = &[
    &[
        "connect to db failed: connection refused",
        "connect to db failed: connection reset by peer",
        "connect to db failed: connection timed out",
        "connect to db failed: no route to host",
    ],
    &[
        "upload failed: AccessDenied",
        "upload failed: NoSuchKey",
        "upload failed: SlowDown",
        "upload failed: InternalError",
    ],
    &["service started", "service stopped"],
    &["link up", "link down"],
    &["user is authenticated", "user is not authenticated"],
    &[
        "java.lang.OutOfMemoryError: heap",
        "java.lang.NullPointerException: heap",
        "java.io.IOException: heap",
    ],
    &["lock acquired", "lock released", "lock lost"],
    &[
        "token store of auth is not reachable",
        "token store of billing is not reachable",
        "token store of search is not reachable",
    ],
    &[
        "disk is full",
        "disk is slow",
        "disk is missing",
        "disk is corrupt",
        "disk is offline",
        "disk is gone",
    ],
    &[
        r#"{"errorType":"KeyError","errorMessage":"'total'"}"#,
        r#"{"errorType":"PermissionError","errorMessage":"denied"}"#,
        r#"{"errorType":"OutOfMemory","errorMessage":"heap"}"#,
    ],
    &["level=error status=failed", "level=error status=throttled"],
    &["overlap:true", "overlap:false"],
    &["GET /a failed", "PUT /a failed", "DELETE /a failed"],
    &[
        "transition from NEW to RUNNING",
        "transition from RUNNING to FAILED",
        "transition from RUNNING to KILLED",
    ],
    &["payment was refused", "payment was paid TWICE"],
    &[
        "cert expired",
        "cert revoked",
        "cert untrusted",
        "cert mismatched",
        "cert missing",
        "cert malformed",
    ],
    &["reason=OOMKilled", "reason=Error", "reason=Evicted"],
    &["exit: SIGSEGV", "exit: SIGKILL", "exit: SIGTERM"],
    &["KeyError: total", "ValueError: total"],
    &["cupsd shutdown succeeded", "cupsd startup succeeded"],
    &["replica lag is high", "replica lag is critical"],
    &[
        "ECONNREFUSED on redis",
        "ECONNRESET on redis",
        "ETIMEDOUT on redis",
        "EPIPE on redis",
        "ENOTFOUND on redis",
    ],
    &[
        "rpc failed: code = Unavailable",
        "rpc failed: code = DeadlineExceeded",
        "rpc failed: code = Internal",
        "rpc failed: code = NotFound",
        "rpc failed: code = Unknown",
        "rpc failed: code = Aborted",
    ],
    &[
        "S3 error: NoSuchBucket",
        "S3 error: AccessDenied",
        "S3 error: SlowDown",
        "S3 error: InvalidToken",
        "S3 error: ExpiredToken",
    ],
    &["thread pool exhausted", "connection pool exhausted"],
];

fn masks(lines: &[&str]) -> Vec<String> {
    let mut masks: Vec<String> =
        lines.iter().map(|line| Pattern::of(line, "").as_str().to_owned()).collect();
    masks.sort();
    masks.dedup();
    masks
}

/// The pattern of the cluster of each line.
fn assigned(lines: &[&str]) -> Vec<String> {
    let masks = masks(lines);
    let clusters = cluster(&masks.iter().map(String::as_str).collect::<Vec<_>>());
    let of_line = |line: &&str| {
        let mask = Pattern::of(line, "").as_str().to_owned();
        let at = masks.iter().position(|other| *other == mask).unwrap();
        clusters.iter().find(|cluster| cluster.members.contains(&at)).unwrap().pattern.clone()
    };
    lines.iter().map(of_line).collect()
}

fn distinct(mut patterns: Vec<String>) -> usize {
    patterns.sort();
    patterns.dedup();
    patterns.len()
}

#[test]
fn lines_that_say_the_same_are_one_cluster() {
    for lines in SAME {
        let patterns = assigned(lines);
        assert_eq!(distinct(patterns.clone()), 1, "{patterns:#?}");
    }
}

#[test]
fn causes_stay_apart_also_among_many_others() {
    let all: Vec<&str> = SAME.iter().chain(APART).flat_map(|lines| lines.iter().copied()).collect();
    let with_marker: Vec<String> = all.iter().map(|line| format!("[CRITICAL] {line}")).collect();
    let with_marker: Vec<&str> = with_marker.iter().map(String::as_str).collect();
    for all in [assigned(&all), assigned(&with_marker)] {
        let mut start = 0;
        for (lines, is_same) in
            SAME.iter().map(|lines| (lines, true)).chain(APART.iter().map(|lines| (lines, false)))
        {
            let patterns = all[start..start + lines.len()].to_vec();
            start += lines.len();
            let expected = if is_same { 1 } else { lines.len() };
            assert_eq!(distinct(patterns.clone()), expected, "{patterns:#?}");
        }
    }
}

#[test]
fn a_cluster_shows_where_its_patterns_differ() {
    let lines = [
        "no table orders in db 3",
        "no table users in db 4",
        "no table carts in db-7",
        "no table taxes in db 8",
        "no table skus in db 3",
    ];
    let masks = masks(&lines);
    assert_eq!(masks.len(), 5);
    let clusters = cluster(&masks.iter().map(String::as_str).collect::<Vec<_>>());
    let patterns: Vec<&str> = clusters.iter().map(|cluster| cluster.pattern.as_str()).collect();
    assert_eq!(
        patterns,
        [
            "no table carts in db-<n>",
            "no table orders in db <n>",
            "no table skus in db <n>",
            "no table taxes in db <n>",
            "no table users in db <n>"
        ]
    );
    let lines = [&lines[..], &["no table notes in db 5"]].concat();
    let masks = self::masks(&lines);
    let clusters = cluster(&masks.iter().map(String::as_str).collect::<Vec<_>>());
    let cluster = clusters.iter().find(|cluster| cluster.members.len() == 5).unwrap();
    assert_eq!(cluster.pattern, "no table <…> in db <n>");
    let tables: Vec<&str> = cluster.places[0]
        .iter()
        .map(|place| match place {
            ClusterPlace::Text(text) => text.as_str(),
            _ => panic!("{place:?}"),
        })
        .collect();
    assert_eq!(tables, ["notes", "orders", "skus", "taxes", "users"]);
    assert_eq!(cluster.places[1], vec![ClusterPlace::Placeholder(0); 5]);
}

#[test]
fn the_word_lists_are_sorted() {
    for words in [CAUSE_WORDS, TELLING_WORDS] {
        assert!(words.is_sorted());
    }
}

#[test]
fn thousands_of_patterns_take_no_quadratic_work() {
    // All share their first tokens and differ in several plain words, the worst case for the keys.
    let word = |n: usize| ["alpha", "beta", "gamma", "delta", "omega", "kappa", "sigma"][n % 7];
    let patterns: Vec<String> = (0..1_500_usize)
        .map(|n| {
            (0..24)
                .map(|at| word(n / 7_usize.pow(at % 5) + at as usize))
                .collect::<Vec<_>>()
                .join(" ")
                + &n.to_string().replace(|c: char| c.is_ascii_digit(), "x")
        })
        .collect();
    let mut patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    patterns.sort_unstable();
    patterns.dedup();
    let clusters = cluster(&patterns);
    assert_eq!(clusters.iter().map(|cluster| cluster.members.len()).sum::<usize>(), patterns.len());
}

fn pattern() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => prop::sample::select(vec!["store", "auth", "of", "reset", "refused", "table", "for", "a.b.C", "/var/log"]),
        2 => prop::sample::select(vec!["<n>", "<…>", "blk_<n>", "(<ip>)", "()", "user=", "=", "[", "]", "<", "é", "*"]),
    ];
    prop::collection::vec(word, 0..7).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn the_order_of_the_patterns_does_not_matter(patterns in prop::collection::hash_set(pattern(), 0..60), seed in any::<u64>()) {
        let mut patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        patterns.sort_unstable();
        let named = |patterns: &[&str]| -> Vec<(String, Vec<String>)> {
            let name = |cluster: Cluster| (cluster.pattern, cluster.members.iter().map(|at| patterns[*at].to_owned()).collect());
            cluster(patterns).into_iter().map(name).collect()
        };
        let sorted = named(&patterns);
        fastrand::Rng::with_seed(seed).shuffle(&mut patterns);
        prop_assert_eq!(named(&patterns), sorted);
    }

    #[test]
    fn each_pattern_is_in_one_cluster_and_each_placeholder_has_a_place(patterns in prop::collection::hash_set(pattern(), 0..60)) {
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let clusters = cluster(&patterns);
        let mut members: Vec<usize> = clusters.iter().flat_map(|cluster| cluster.members.clone()).collect();
        members.sort_unstable();
        prop_assert_eq!(members, (0..patterns.len()).collect::<Vec<_>>());
        for cluster in clusters {
            prop_assert_eq!(placeholders(&cluster.pattern), cluster.places.len(), "{}", cluster.pattern);
            for place in &cluster.places {
                prop_assert_eq!(place.len(), cluster.members.len());
            }
            for (member, at) in cluster.members.iter().enumerate() {
                for place in &cluster.places {
                    if let ClusterPlace::Placeholder(n) = place[member] {
                        prop_assert!(n < placeholders(patterns[*at]));
                    }
                }
            }
        }
    }

    #[test]
    fn any_text_can_be_clustered(texts in prop::collection::hash_set(any::<String>(), 0..20)) {
        let masks = masks(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let clusters = cluster(&masks.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert!(clusters.iter().all(|cluster| cluster.pattern.len() <= 4 * PATTERN_BYTES_MAX));
    }
}
