//! The messages that a probe got, and the wait for them.

use std::any::{Any, TypeId};
use std::fmt::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::Call;
use crate::sync::{Mutex, lock};

/// The most messages that the text of a failure lists.
const LISTED: usize = 20;

/// A message that a probe got.
pub(super) struct Arrived {
    pub(super) id: TypeId,
    pub(super) name: &'static str,
    pub(super) call: Call,
    /// The message as text, if failures show this type.
    pub(super) shown: Option<String>,
    /// The message itself, until a test has taken it.
    pub(super) message: Option<Box<dyn Any + Send>>,
}

/// All messages that a probe got, in the order in which they were handled.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<ArrivalsState>);

#[derive(Default)]
struct ArrivalsState {
    all: Vec<Arrived>,
    waiting: Vec<Waker>,
}

/// What a look at the arrivals found.
pub(super) enum Peek<R> {
    Found(R),
    NotYet,
    /// What the look is for can't come any more.
    Never,
}

impl Arrivals {
    pub(super) fn add(&self, arrived: Arrived) {
        let mut state = lock(&self.0);
        state.all.push(arrived);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for waker in waiting {
            waker.wake();
        }
    }

    /// How many messages came, and how many of them no test has taken.
    pub(super) fn count(&self) -> (usize, usize) {
        let state = lock(&self.0);
        let left = state.all.iter().filter(|one| one.message.is_some());
        (state.all.len(), left.count())
    }

    /// Waits until `look` finds what it looks for. If it has found nothing after that time, returns a text that
    /// lists what came instead. The time is real time, whatever the executor's clock shows.
    pub(super) async fn until<R>(
        &self,
        within: Duration,
        mut look: impl FnMut(&mut [Arrived]) -> Peek<R>,
    ) -> Result<R, String> {
        let begun = Instant::now();
        let mut alarm: Option<Alarm> = None;
        std::future::poll_fn(|cx| {
            let mut state = lock(&self.0);
            match look(&mut state.all) {
                Peek::Found(found) => return Poll::Ready(Ok(found)),
                Peek::Never => return Poll::Ready(Err(list(&state.all))),
                Peek::NotYet => {}
            }
            let left = within.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Poll::Ready(Err(list(&state.all)));
            }
            let me = cx.waker();
            if !state.waiting.iter().any(|waker| waker.will_wake(me)) {
                state.waiting.push(me.clone());
            }
            let is_set = |alarm: &Alarm| alarm.wakes.will_wake(me);
            if !alarm.as_ref().is_some_and(is_set) {
                alarm = Some(Alarm::set(left, me.clone()));
            }
            Poll::Pending
        })
        .await
    }
}

/// Wakes a task after some time, from a thread of its own: an executor's clock may be paused, and a system's
/// threads may have ended.
struct Alarm {
    wakes: Waker,
    _set: Sender<()>,
}

impl Alarm {
    fn set(after: Duration, waker: Waker) -> Self {
        let (set, dropped) = channel::<()>();
        let wakes = waker.clone();
        std::thread::spawn(move || {
            if dropped.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
                waker.wake();
            }
        });
        Alarm { wakes, _set: set }
    }
}

/// Lists the messages that came, for the text of a failure.
fn list(all: &[Arrived]) -> String {
    let left: Vec<&Arrived> = all.iter().filter(|one| one.message.is_some()).collect();
    let taken = all.len() - left.len();
    let mut text = String::new();
    if left.is_empty() {
        let what = if taken == 0 {
            "nothing"
        } else {
            "nothing else"
        };
        text.push_str(what);
        text.push_str(" came");
    } else {
        text.push_str("what came and was not taken:");
    }
    let shown = left.len().saturating_sub(LISTED);
    if shown > 0 {
        let _ = write!(text, "\n  … {shown} before these");
    }
    for (number, one) in left.iter().enumerate().skip(shown) {
        let _ = write!(text, "\n  {}. {one}", number + 1);
    }
    if taken > 0 {
        let _ = write!(text, "\nbefore, the test had taken {taken}");
    }
    text
}

impl std::fmt::Display for Arrived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` at `{}`", self.name, self.call.path)?;
        match &self.call.sender {
            Some(sender) => write!(f, " from `{sender}`")?,
            None => write!(f, " from outside")?,
        }
        match &self.shown {
            Some(shown) => write!(f, ": {shown}"),
            None => Ok(()),
        }
    }
}
