//! What a seed stands for: how many shards and records, which faults are about and how often, and, for the tests of
//! the simulator itself, what is broken on purpose.

use std::time::Duration;

/// A way to break the protocol. Each lies in an adapter of the simulator, never in production code, and each must
/// be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The batch is acknowledged once it is committed.
    AcknowledgeBeforeArm,
    /// A closing window's tallies are those from before `closing` was set.
    ReadBeforeClosing,
    SettleBeforeAcceptance,
    /// Rows first, then, in a second step, the tally.
    CountOutsideTheTransaction,
    /// A lease that runs out while its holder lives.
    ShortLease,
    /// Only who began to close a window sees that it is closing.
    AbandonedClose,
    MarkAnyWindowArmed,
    FreezeWithoutClosing,
    /// Epochs are told before the last of their window is there.
    DeliverBeforeSealed,
    NoSweep,
    /// A duplicate touches the routes that it would have today.
    TodaysRoutes,
}

impl Mutation {
    pub const ALL: [Self; 11] = [
        Self::AcknowledgeBeforeArm,
        Self::ReadBeforeClosing,
        Self::SettleBeforeAcceptance,
        Self::CountOutsideTheTransaction,
        Self::ShortLease,
        Self::AbandonedClose,
        Self::MarkAnyWindowArmed,
        Self::FreezeWithoutClosing,
        Self::DeliverBeforeSealed,
        Self::NoSweep,
        Self::TodaysRoutes,
    ];
}

impl Mutation {
    /// The faults that bring it out.
    fn faults(self) -> Faults {
        let none = Faults::default();
        match self {
            Self::AcknowledgeBeforeArm | Self::CountOutsideTheTransaction | Self::AbandonedClose => {
                Faults { crash: 25, ..none }
            }
            Self::SettleBeforeAcceptance => Faults { target: 400, ..none },
            Self::ShortLease | Self::ReadBeforeClosing => Faults { slow: 60, duplicate: 300, ..none },
            Self::MarkAnyWindowArmed => Faults { slow: 60, crash: 10, duplicate: 300, redeliver: 400, ..none },
            Self::FreezeWithoutClosing => Faults { slow: 150, crash: 60, duplicate: 500, redeliver: 700, ..none },
            Self::DeliverBeforeSealed => Faults { slow: 100, target: 300, ..none },
            Self::NoSweep => Faults { dead_letter: 150, ..none },
            Self::TodaysRoutes => Faults { crash: 60, redeliver: 300, ..none },
        }
    }
}

/// Chances in a thousand, per remote call unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub crash: u32,
    /// An error without an effect.
    pub fail: u32,
    /// An effect without an answer.
    pub lost: u32,
    /// Takes seconds, or longer than its caller lives.
    pub slow: u32,
    /// Per delivery: 429, 5xx, a time-out after it was accepted, a refusal.
    pub target: u32,
    /// Per due message: it is delivered to two at once.
    pub duplicate: u32,
    /// Per due message that is sent: SQS loses it, or it is dead-lettered.
    pub dead_letter: u32,
    /// Per batch that was acknowledged: it comes once more.
    pub redeliver: u32,
    /// Per failed invocation of a batch: the mapping gives up on it.
    pub discard: u32,
}

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
    /// Which of the configurations; and whether it is replaced by another in mid-schedule.
    pub configuration: usize,
    pub redeploy: bool,
    /// Somebody mutes and unmutes routes.
    pub mutes: bool,
    /// Without a due queue: whoever touches a route closes it.
    pub inline: bool,
    /// A target that is down from the beginning to the end of the faults.
    pub outage: bool,
    /// Records arrive all the time, and not perhaps at once.
    pub steady: bool,
    /// Records arrive within three quarters of this, and faults happen until its end.
    pub busy: Duration,
}

impl Plan {
    /// The plan of a seed. The kind of trouble follows from the seed too, so that every kind has its share; what is
    /// broken on purpose gets the kind that brings it out.
    pub fn of(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut one_in = |n: u8| rng.u8(0..n) == 0;
        let (redeploys, mutes, inline, outage, twice) = (one_in(4), one_in(6), one_in(8), one_in(3), one_in(2));
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
            // What a dead process committed for a route that is gone since, only a sweep can find.
            redeploy: !is_quiet && !inline && (redeploys || mutation == Some(Mutation::TodaysRoutes)),
            mutes: !is_quiet && mutes,
            inline,
            outage: faults.target > 0 && outage,
            steady: false,
            busy: Duration::from_secs(rng.u64(20..240)),
        }
    }

    /// Whether somebody replays the dead-letter queue. (Who replays a dead due message does what a sweep does.)
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
