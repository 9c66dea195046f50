//! Virtual time: tasks that run one at a time, and timed events, in an order that depends only on
//! the schedule. An hour takes as long as its events. A killed task is dropped between two of its
//! steps, like a killed process. The requests that it has sent still arrive.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

pub type TaskId = u64;

enum Event {
    Wake(Waker),
    Run(Box<dyn FnOnce() + Send>),
}

/// The tasks and events of one schedule. Clones share them.
#[derive(Clone, Default)]
pub struct Executor(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    now_us: u64,
    tasks: BTreeMap<TaskId, Task>,
    last_task: TaskId,
    /// Ordered by time, then by when they were added.
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    last_event: u64,
    ready: Arc<Mutex<VecDeque<TaskId>>>,
}

struct Ready {
    task: TaskId,
    queue: Arc<Mutex<VecDeque<TaskId>>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.queue.lock().unwrap().push_back(self.task);
    }
}

impl Executor {
    pub fn now_us(&self) -> u64 {
        self.0.lock().unwrap().now_us
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskId {
        let mut inner = self.0.lock().unwrap();
        inner.last_task += 1;
        let id = inner.last_task;
        inner.tasks.insert(id, Box::pin(task));
        inner.ready.lock().unwrap().push_back(id);
        id
    }

    /// Drops a task. A task must not drop itself.
    pub fn kill(&self, task: TaskId) {
        let dropped = self.0.lock().unwrap().tasks.remove(&task);
        drop(dropped);
    }

    /// Runs `event` after `delay`, even if the task that added it has been killed.
    pub fn after(&self, delay: Duration, event: impl FnOnce() + Send + 'static) {
        self.0.lock().unwrap().plan(delay, Event::Run(Box::new(event)));
    }

    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        let executor = self.clone();
        let mut until = None;
        std::future::poll_fn(move |context: &mut Context<'_>| {
            let mut inner = executor.0.lock().unwrap();
            match until {
                None => {
                    until = Some(inner.plan(duration, Event::Wake(context.waker().clone())));
                    Poll::Pending
                }
                // A task that waits for several futures is polled for each of them.
                Some(at) if inner.now_us < at => Poll::Pending,
                Some(_) => Poll::Ready(()),
            }
        })
    }

    /// Runs until no event is left, or `done` returns true.
    pub fn run(&self, done: impl Fn() -> bool) {
        while !done() {
            while let Some(task) = self.next_ready() {
                self.poll(task);
            }
            let Some(event) = self.next_event() else { return };
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Run(run) => run(),
            }
        }
    }

    /// Drops all tasks and events, which hold references to this executor.
    pub fn clear(&self) {
        let mut inner = self.0.lock().unwrap();
        let (tasks, events) = (std::mem::take(&mut inner.tasks), std::mem::take(&mut inner.events));
        inner.agenda.clear();
        drop(inner);
        drop((tasks, events));
    }

    fn next_ready(&self) -> Option<TaskId> {
        let ready = Arc::clone(&self.0.lock().unwrap().ready);
        ready.lock().unwrap().pop_front()
    }

    fn next_event(&self) -> Option<Event> {
        let mut inner = self.0.lock().unwrap();
        let Reverse((at, number)) = inner.agenda.pop()?;
        inner.now_us = at;
        inner.events.remove(&number)
    }

    fn poll(&self, id: TaskId) {
        let (task, queue) = {
            let mut inner = self.0.lock().unwrap();
            (inner.tasks.remove(&id), Arc::clone(&inner.ready))
        };
        // The task has ended, or was killed after it was woken.
        let Some(mut task) = task else { return };
        let waker = Waker::from(Arc::new(Ready { task: id, queue }));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.0.lock().unwrap().tasks.insert(id, task);
        }
    }
}

impl Inner {
    /// Completes at this time.
    fn plan(&mut self, delay: Duration, event: Event) -> u64 {
        self.last_event += 1;
        let at = self.now_us + u64::try_from(delay.as_micros()).unwrap_or(u64::MAX / 4);
        self.agenda.push(Reverse((at, self.last_event)));
        self.events.insert(self.last_event, event);
        at
    }
}
