//! The dead-letter queue, and a process that replays it: the production replay runs from time to
//! time, crashes like any other process, and is repeated until only unreadable records are left.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use stentor::ops::replay::recognize::read;
use stentor::ops::replay::{
    DeadLetterKind, DeadLetterSource, Page, Receipt, ReceivedMessage, ReplayOptions, SourceError,
    StreamRange, StreamReader, StreamRecord, replay,
};
use stentor::protocol::clock::Deadline;
use tokio_util::sync::CancellationToken;

use super::process::Process;
use super::schedule::Shard;
use super::services::{Sim, State};

const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/logs";

/// A replay is a command, not a function, so its limit is longer.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(1_800);

/// The messages of the dead-letter queue.
#[derive(Default)]
pub struct DeadLetters {
    /// The body, and from when it is visible.
    dead_letters: BTreeMap<u64, (String, u64)>,
    last: u64,
    /// Dead letters of single poison records, which stay.
    bad: BTreeMap<u64, BadRecord>,
}

#[derive(Debug)]
struct BadRecord {
    name: String,
    /// Its good events that are alerts. A replay writes a row for each.
    alerts: Vec<String>,
}

impl DeadLetters {
    pub fn push(&mut self, body: String) {
        self.last += 1;
        self.dead_letters.insert(self.last, (body, 0));
    }

    /// Adds a dead letter for records that the event source mapping gave up on.
    pub fn push_batch(&mut self, shard: &Shard, from: usize, to: usize, alerts: Vec<String>) {
        let info = json!({
            "shardId": shard.name, "startSequenceNumber": from.to_string(), "endSequenceNumber": (to - 1).to_string(),
            "batchSize": to - from, "streamArn": STREAM,
        });
        let context = json!({"condition": "RecordAgeExceeded", "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f"});
        self.push(json!({"requestContext": context, "KinesisBatchInfo": info}).to_string());
        if to - from == 1 && shard.is_bad(from) {
            self.bad
                .insert(self.last, BadRecord { name: format!("{}:{from}", shard.name), alerts });
        }
    }

    /// Whether a dead letter has only the position of a record in the stream.
    pub fn keeps(&self, record: &str) -> bool {
        self.bad.iter().any(|(id, bad)| bad.name == record && self.dead_letters.contains_key(id))
    }

    /// The number of dead letters of each kind, without those of poison records whose alerts have
    /// rows.
    pub fn to_replay(&self, has_row: impl Fn(&str) -> bool) -> BTreeMap<DeadLetterKind, usize> {
        let stays =
            |id| self.bad.get(id).is_some_and(|bad| bad.alerts.iter().all(|alert| has_row(alert)));
        let mut kinds = BTreeMap::new();
        for (_, (body, _)) in self.dead_letters.iter().filter(|(id, _)| !stays(id)) {
            let receipt = Receipt { id: String::new(), receipt: String::new() };
            let kind = read(&ReceivedMessage { receipt, body: body.clone(), sent_at: None }).kind;
            if kind != DeadLetterKind::Record {
                *kinds.entry(kind).or_default() += 1;
            }
        }
        kinds
    }

    fn receive(&mut self, max: usize, now_us: u64) -> Vec<ReceivedMessage> {
        let visible = self
            .dead_letters
            .iter_mut()
            .filter(|(_, (_, visible_at))| *visible_at <= now_us)
            .take(max);
        let dead_letter = |(id, (body, visible_at)): (&u64, &mut (String, u64))| {
            *visible_at = now_us + 300_000_000;
            let receipt = Receipt { id: id.to_string(), receipt: id.to_string() };
            ReceivedMessage { receipt, body: body.clone(), sent_at: None }
        };
        visible.map(dead_letter).collect()
    }
}

/// Runs replays until the schedule ends.
pub fn replay_now_and_then(sim: &Arc<Sim>, shards: &[Arc<Shard>]) {
    let (sim, shards) = (Arc::clone(sim), shards.to_vec());
    sim.clone().executor.spawn(async move {
        loop {
            sim.executor.sleep(Duration::from_secs(30 + sim.below(300) as u64)).await;
            let shards = shards.clone();
            let body = |process: Process, _| async move {
                let source = Source { process, shards, cancel: CancellationToken::new() };
                let options =
                    ReplayOptions { cancel: source.cancel.clone(), ..ReplayOptions::default() };
                replay(&source.process, &source, &source, &options, |_| {
                    source.cancel_now_and_then()
                })
                .await;
            };
            sim.invoke_for("replay", REPLAY_TIMEOUT, body).await;
        }
    });
}

/// The queue and the stream, as sources of a replay.
struct Source {
    process: Process,
    shards: Vec<Arc<Shard>>,
    cancel: CancellationToken,
}

impl Source {
    /// Cancels like an operator with Ctrl-C.
    fn cancel_now_and_then(&self) {
        if self.process.sim.happens(5) {
            self.cancel.cancel();
        }
    }
}

fn lost() -> SourceError {
    SourceError::Unavailable("no answer".to_owned())
}

impl DeadLetterSource for Source {
    async fn receive(
        &self,
        max: usize,
        deadline: Deadline,
    ) -> Result<Vec<ReceivedMessage>, SourceError> {
        let receive = move |state: &mut State, sim: &Sim| {
            Ok(state.dead_letters.receive(max, sim.executor.now_us()))
        };
        self.process.call("receive", deadline, receive, |_| Err(lost())).await
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
        deadline: Deadline,
    ) -> Vec<Result<(), SourceError>> {
        let (count, ids) = (receipts.len(), ids(receipts));
        let delete = move |state: &mut State, _: &Sim| {
            ids.iter().for_each(|id| drop(state.dead_letters.dead_letters.remove(id)));
            vec![Ok(()); count]
        };
        self.process.call("delete", deadline, delete, |_| vec![Err(lost()); count]).await
    }

    async fn hide(&self, receipts: &[Receipt], hidden_for: Duration, deadline: Deadline) {
        let ids = ids(receipts);
        let hide = move |state: &mut State, sim: &Sim| {
            for id in &ids {
                if let Some((_, visible_at)) = state.dead_letters.dead_letters.get_mut(id) {
                    *visible_at = sim.executor.now_us() + hidden_for.as_micros() as u64;
                }
            }
        };
        self.process.call("hide", deadline, hide, |_| ()).await;
    }
}

fn ids(receipts: &[Receipt]) -> Vec<u64> {
    receipts.iter().map(|receipt| receipt.receipt.parse().unwrap()).collect()
}

impl StreamReader for Source {
    async fn read(
        &self,
        range: &StreamRange,
        after: Option<&str>,
        deadline: Deadline,
    ) -> Result<Page, SourceError> {
        let number = |text: &str| text.parse::<usize>().unwrap();
        let shard = self.shards.iter().find(|shard| shard.name == range.shard_id).cloned().unwrap();
        let first = after.map_or(number(&range.first), |after| number(after) + 1);
        let last = number(&range.last);
        let to = (first + 2).min(last + 1);
        self.cancel_now_and_then();
        let read = move |_: &mut State, _: &Sim| {
            let record = |n| StreamRecord {
                sequence: usize::to_string(&n),
                data: data(&shard, n),
                ..stream_record()
            };
            Ok(Page { records: (first..to).map(record).collect(), more: to <= last })
        };
        self.process.call("read", deadline, read, |_| Err(lost())).await
    }
}

fn stream_record() -> StreamRecord {
    StreamRecord {
        sequence: String::new(),
        partition_key: None,
        arrived_at: None,
        data: String::new(),
    }
}

/// A record of the stream: gzip in base64.
pub fn data(shard: &Shard, record: usize) -> String {
    let Some(message) = shard.message(record) else { return super::schedule::POISON.to_owned() };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(message.to_string().as_bytes()).unwrap();
    STANDARD.encode(gzip.finish().unwrap())
}
