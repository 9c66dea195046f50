//! The due queue, with the behavior of SQS: delays, visibility, receive counts, the redrive policy,
//! and duplicate messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stentor::protocol::notifier::{Received, notify};
use stentor::protocol::queue::Due;

use super::services::{Sim, State};

/// Six times the time-out of the function.
const VISIBILITY: Duration = Duration::from_secs(126);
const DELAY_MAX: Duration = Duration::from_secs(900);
const RECEIVES_MAX: u32 = 200;
const BATCH_MAX: usize = 5;

#[derive(Default)]
pub struct Queue {
    messages: BTreeMap<u64, Message>,
    last: u64,
    /// Messages that the redrive policy moves to the dead-letter queue.
    pub dead_letters: Vec<String>,
    /// Notifiers that run.
    running: usize,
    /// The most messages of one route.
    pub live_max: usize,
    pub receives: u64,
    receives_max: u32,
}

struct Message {
    due: Due,
    receives: u32,
    visible_at_us: u64,
}

impl Queue {
    /// Returns `false` if the message is in the dead-letter queue at once.
    pub fn send(&mut self, sim: &Arc<Sim>, due: Due, delay: Duration) -> bool {
        if sim.happens(sim.plan.faults.dead_letter) {
            sim.note(|| {
                format!("the due message of {} window {} is dead-lettered", due.route, due.window)
            });
            self.dead_letters.push(serde_json::to_string(&due).unwrap());
            return false;
        }
        self.last += 1;
        // SQS has whole seconds.
        let delay = Duration::from_secs(delay.min(DELAY_MAX).as_millis().div_ceil(1000) as u64);
        self.messages.insert(self.last, Message { due, receives: 0, visible_at_us: 0 });
        self.hide(sim, self.last, delay);
        let route = &self.messages[&self.last].due.route;
        let live = self.messages.values().filter(|message| message.due.route == *route).count();
        self.live_max = self.live_max.max(live);
        true
    }

    /// The times that a message was received, at most.
    pub fn receives_max(&self) -> u32 {
        self.receives_max
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Hides the message for `delay`.
    fn hide(&mut self, sim: &Arc<Sim>, id: u64, delay: Duration) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        message.visible_at_us = sim.executor.now_us() + delay.as_micros() as u64;
        let at = Arc::clone(sim);
        sim.executor.after(delay, move || receive(&at));
    }

    fn take(&mut self, sim: &Arc<Sim>) -> Vec<(u64, Received)> {
        let now = sim.executor.now_us();
        let visible = self.messages.iter().filter(|(_, message)| message.visible_at_us <= now);
        let visible: Vec<u64> = visible.map(|(id, _)| *id).take(BATCH_MAX).collect();
        let mut taken = Vec::new();
        for id in visible {
            let message = self.messages.get_mut(&id).unwrap();
            if message.receives == RECEIVES_MAX {
                let dead = self.messages.remove(&id).unwrap();
                self.dead_letters.push(serde_json::to_string(&dead.due).unwrap());
                continue;
            }
            message.receives += 1;
            self.receives += 1;
            self.receives_max = self.receives_max.max(message.receives);
            taken.push((id, Received { due: message.due.clone(), attempt: message.receives - 1 }));
            self.hide(sim, id, VISIBILITY);
        }
        taken
    }
}

/// The event source mapping of the queue: invokes the function with visible messages.
fn receive(sim: &Arc<Sim>) {
    let mut state = sim.state.lock().unwrap();
    if sim.plan.notifiers.is_some_and(|most| state.queue.running >= most) {
        return;
    }
    let taken = state.queue.take(sim);
    if taken.is_empty() {
        return;
    }
    state.queue.running += 1;
    drop(state);
    if sim.happens(sim.plan.faults.duplicate) {
        let (sim, taken) = (Arc::clone(sim), taken.clone());
        sim.clone().executor.spawn(async move { answer(&sim, taken).await });
    }
    let sim = Arc::clone(sim);
    sim.clone().executor.spawn(async move {
        answer(&sim, taken).await;
        ended(&sim);
    });
}

/// A notifier has ended: another one can begin.
fn ended(sim: &Arc<Sim>) {
    sim.state.lock().unwrap().queue.running -= 1;
    receive(sim);
}

async fn answer(sim: &Arc<Sim>, taken: Vec<(u64, Received)>) {
    let (ids, received): (Vec<u64>, Vec<Received>) = taken.into_iter().unzip();
    let body = |process, deadline| async move { notify(&process, &received, deadline).await };
    let (_, notified) = sim.invoke("notify", body).await;
    // A crashed process answers nothing, and its messages become visible again.
    let Some(notified) = notified else { return };
    let mut state = sim.state.lock().unwrap();
    let State { queue, .. } = &mut *state;
    for (id, retry) in ids.into_iter().zip(notified.retry) {
        match retry {
            Some(retry) => queue.hide(sim, id, sim.now().until(retry.at)),
            None => drop(queue.messages.remove(&id)),
        }
    }
}
