//! The plan of a seed: the number of shards and records, the faults and their frequency and, for
//! the tests of the simulator itself, a mutation.

use std::time::Duration;

/// A way to break the protocol. Each is in an adapter of the simulator, never in production code,
/// and the simulator must find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The batch is acknowledged when it is committed, before its routes are armed.
    AcknowledgeBeforeArm,
    /// The tallies of a closing window are those from before `closing` was set.
    ReadBeforeClosing,
    SettleBeforeAcceptance,
    /// Rows first, then, in a second step, the tally.
    CountOutsideTheTransaction,
    /// A lease expires while its holder still runs.
    ShortLease,
    /// Only the process that began to close a window sees that it is closing.
    AbandonedClose,
    /// A claim to send a due message has no condition.
    ClaimWhatOthersClaimed,
    FreezeWithoutClosing,
    /// Epochs are delivered before the last one of their window exists.
    DeliverBeforeSealed,
    NoSweep,
    /// A duplicate touches the routes of the current configuration.
    TodaysRoutes,
    /// The key of an incident has no number of a burst.
    IncidentPerRoute,
    /// An acknowledged incident gets alerts of a worse severity.
    IncidentForAllSeverities,
    /// The message that opens an incident may also end its burst.
    MergeBursts,
    /// A delivery to Jira is retried before the search can find an issue that was created.
    JiraRetriesAtOnce,
    /// The adapter does not get the keys of the issues.
    JiraForgetsIssues,
    /// The adapter is not told that a burst is over.
    JiraKeepsIssuesOpen,
    /// An epoch is owed to the first target of its route only.
    OweTheFirstTarget,
    /// A mute has no end.
    MuteForEver,
    /// Epochs expire when one target has received them.
    RetireForOneTarget,
    /// Epochs below a threshold are delivered.
    DeliverHeld,
    /// Each window is counted alone.
    ForgetHeld,
    /// A message does not include the alerts that were held before it.
    ReleaseNothing,
    /// All routes of an alert count the severities of the first.
    ShareSeverities,
    /// A history has no condition.
    OverwriteHistories,
    /// The cursor counts epochs that the histories do not.
    CountAhead,
}

impl Mutation {
    pub const ALL: [Self; 26] = [
        Self::AcknowledgeBeforeArm,
        Self::ReadBeforeClosing,
        Self::SettleBeforeAcceptance,
        Self::CountOutsideTheTransaction,
        Self::ShortLease,
        Self::AbandonedClose,
        Self::ClaimWhatOthersClaimed,
        Self::FreezeWithoutClosing,
        Self::DeliverBeforeSealed,
        Self::NoSweep,
        Self::TodaysRoutes,
        Self::IncidentPerRoute,
        Self::IncidentForAllSeverities,
        Self::MergeBursts,
        Self::JiraRetriesAtOnce,
        Self::JiraForgetsIssues,
        Self::JiraKeepsIssuesOpen,
        Self::OweTheFirstTarget,
        Self::MuteForEver,
        Self::RetireForOneTarget,
        Self::DeliverHeld,
        Self::ForgetHeld,
        Self::ReleaseNothing,
        Self::ShareSeverities,
        Self::OverwriteHistories,
        Self::CountAhead,
    ];
}

impl Mutation {
    /// The faults that reveal it.
    fn faults(self) -> Faults {
        let none = Faults::default();
        match self {
            Self::AcknowledgeBeforeArm
            | Self::CountOutsideTheTransaction
            | Self::AbandonedClose => Faults { crash: 25, ..none },
            Self::SettleBeforeAcceptance => Faults { target: 400, ..none },
            Self::ShortLease | Self::ReadBeforeClosing => {
                Faults { slow: 60, duplicate: 300, ..none }
            }
            Self::ClaimWhatOthersClaimed => Faults { fail: 150, redeliver: 400, ..none },
            Self::FreezeWithoutClosing => {
                Faults { slow: 150, crash: 60, duplicate: 500, redeliver: 700, ..none }
            }
            Self::IncidentPerRoute | Self::IncidentForAllSeverities => none,
            Self::MergeBursts => Faults { target: 300, ..none },
            Self::DeliverBeforeSealed => Faults { slow: 100, target: 300, ..none },
            Self::NoSweep => Faults { dead_letter: 150, ..none },
            Self::TodaysRoutes => Faults { crash: 60, redeliver: 300, ..none },
            Self::JiraRetriesAtOnce => Faults { lost: 40, ..none },
            Self::JiraForgetsIssues | Self::JiraKeepsIssuesOpen | Self::OweTheFirstTarget => none,
            Self::MuteForEver => Faults { fail: 1, ..none },
            Self::RetireForOneTarget => Faults { target: 300, ..none },
            Self::DeliverHeld | Self::ForgetHeld | Self::ReleaseNothing | Self::ShareSeverities => {
                none
            }
            Self::OverwriteHistories => Faults { slow: 150, duplicate: 500, ..none },
            Self::CountAhead => Faults { crash: 40, ..none },
        }
    }
}

/// Probabilities in thousandths, per remote call unless stated otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub crash: u32,
    /// An error without an effect.
    pub fail: u32,
    /// An effect without an answer.
    pub lost: u32,
    /// The call takes seconds, perhaps longer than its caller runs.
    pub slow: u32,
    /// Per delivery: 429, 5xx, a time-out after the acceptance, or a refusal.
    pub target: u32,
    /// Per due message: two processes receive it at once.
    pub duplicate: u32,
    /// Per sent due message: it is lost, or moved to the dead-letter queue.
    pub dead_letter: u32,
    /// Per acknowledged batch: it is delivered again.
    pub redeliver: u32,
    /// Per failed invocation of a batch: the event source mapping gives up on it.
    pub discard: u32,
}

/// NTP keeps the clocks of Lambda much closer.
const SKEW_MAX: Duration = Duration::from_secs(5);

/// One schedule.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub faults: Faults,
    pub mutation: Option<Mutation>,
    pub shards: usize,
    /// Records of each shard.
    pub records: usize,
    /// A second poller per shard.
    pub two_pollers: bool,
    /// The configuration, and whether another one replaces it during the schedule.
    pub configuration: usize,
    pub redeploy: bool,
    /// Whether routes are muted and unmuted.
    pub mutes: bool,
    /// Whether there is no due queue, so that each consumer closes its routes.
    pub inline: bool,
    /// The clocks of the processes differ by up to this in either direction.
    pub skew: Duration,
    /// A target that is down until the faults end.
    pub outage: bool,
    /// Whether records arrive all the time. Otherwise they may arrive at once.
    pub steady: bool,
    /// The pause that a channel asks for after more than one message a second.
    pub rate_limit: Option<Duration>,
    /// Concurrent notifiers, apart from sweeps.
    pub notifiers: Option<usize>,
    /// Records arrive within three quarters of this, and faults happen until its end.
    pub busy: Duration,
}

impl Plan {
    /// The plan of a seed. The kind of faults also depends on the seed, so that each kind has its
    /// share. A mutation gets the faults that reveal it.
    pub fn of(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut one_in = |n: u8| rng.u8(0..n) == 0;
        let (redeploys, mutes, inline, outage, twice) =
            (one_in(4), one_in(6), one_in(8), one_in(3), one_in(2));
        let kind = seed % 8;
        let faults = mutation.map_or_else(|| Faults::of_kind(kind), Mutation::faults);
        let inline = mutation.is_none() && inline;
        let is_quiet = faults == Faults::default();
        Self {
            seed,
            faults,
            mutation,
            shards: rng.usize(1..=4),
            records: rng.usize(1..=6),
            two_pollers: faults.redeliver > 0 && twice,
            configuration: rng.usize(0..super::services::CONFIGURATIONS.len()),
            // Only a sweep finds the alerts that a crashed process committed for a route that is no
            // longer configured.
            redeploy: !is_quiet
                && !inline
                && (redeploys || mutation == Some(Mutation::TodaysRoutes)),
            mutes: !is_quiet && (mutes || mutation == Some(Mutation::MuteForEver)),
            inline,
            skew: if seed.is_multiple_of(3) && mutation.is_none() {
                SKEW_MAX
            } else {
                Duration::ZERO
            },
            outage: faults.target > 0 && outage,
            steady: false,
            rate_limit: None,
            notifiers: None,
            busy: Duration::from_secs(rng.u64(20..240)),
        }
    }

    /// Whether the dead-letter queue is replayed. (To replay a due message is to sweep its route.)
    pub fn is_replayed(&self) -> bool {
        self.mutation != Some(Mutation::NoSweep)
    }

    pub fn is_without_faults(&self) -> bool {
        self.faults == Faults::default()
    }
}

impl Faults {
    fn of_kind(kind: u64) -> Self {
        let none = Self::default();
        match kind {
            0 => none,
            1 => Self { slow: 40, ..none },
            2 => Self { duplicate: 400, dead_letter: 150, crash: 5, ..none },
            3 => Self { redeliver: 300, fail: 20, ..none },
            4 => Self { crash: 25, lost: 25, fail: 25, ..none },
            5 => Self { crash: 15, lost: 15, discard: 150, redeliver: 100, ..none },
            6 => Self { target: 400, crash: 5, ..none },
            _ => Self {
                crash: 10,
                fail: 20,
                lost: 10,
                slow: 10,
                target: 150,
                duplicate: 100,
                dead_letter: 80,
                redeliver: 100,
                discard: 50,
            },
        }
    }
}
