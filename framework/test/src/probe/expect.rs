//! Expectations of the messages that come to a probe.

use std::any::{TypeId, type_name};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mycelia::Message;

use super::arrivals::{Arrived, Peek};
use super::{Face, Received};
use crate::pattern::PathPattern;

/// How long an expectation waits by default.
const PATIENCE: Duration = Duration::from_secs(5);

type Condition<M> = Box<dyn Fn(&M) -> bool + Send + Sync>;

/// An expectation of a message; made by [`Probe::expect`](crate::Probe::expect). `.await` waits for the message
/// and returns it.
#[must_use = "nothing is expected before `.await`"]
pub struct Expect<'p, M> {
    face: &'p Arc<Face>,
    /// True if it must be the oldest message that is left.
    next: bool,
    at: Option<String>,
    conditions: Vec<Condition<M>>,
    within: Duration,
    place: &'static Location<'static>,
}

/// An expectation of several messages; made by [`Expect::times`]. `.await` waits for the messages and returns
/// them in the order in which they came.
#[must_use = "nothing is expected before `.await`"]
pub struct ExpectMany<'p, M> {
    each: Expect<'p, M>,
    n: usize,
}

impl<'p, M: Message> Expect<'p, M> {
    #[track_caller]
    pub(super) fn new(face: &'p Arc<Face>, next: bool) -> Self {
        Expect {
            face,
            next,
            at: None,
            conditions: Vec::new(),
            within: PATIENCE,
            place: Location::caller(),
        }
    }

    /// Expects the message at this path: `charge/7`, or `billing://charge/7`. A pattern is possible too:
    /// `charge/{id}`, `charge/*`, `**`. The query is ignored.
    pub fn at(mut self, path: &str) -> Self {
        self.at = Some(self.face.path(path));
        self
    }

    /// Expects a message for which this returns true.
    pub fn matching(mut self, condition: impl Fn(&M) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Box::new(condition));
        self
    }

    /// Sets how long to wait, in real time, whatever the executor's clock shows; 0 does not wait. Default: 5 s.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Expects `n` such messages. Either all are taken or none.
    pub fn times(self, n: usize) -> ExpectMany<'p, M> {
        ExpectMany { each: self, n }
    }

    /// Waits like `.await`, and returns the message with its path and its sender.
    ///
    /// # Panics
    /// As [`Probe::expect`](crate::Probe::expect).
    pub async fn received(self) -> Received<M> {
        let mut all = self.take(1).await;
        all.pop().expect("as many as were waited for")
    }

    /// Takes `n` messages, or panics.
    async fn take(self, n: usize) -> Vec<Received<M>> {
        let pattern = self.at.as_deref().map(PathPattern::parse).transpose();
        let pattern = match pattern {
            Ok(pattern) => pattern,
            Err(error) => panic!("a path that is expected is wrong: {error} ({})", self.place),
        };
        if let Some(why) = self.face.excludes::<M>(self.at.as_deref()) {
            panic!("{}\n{why}", self.text(n));
        }
        let is_it = |one: &Arrived| {
            let message = one.message.as_ref().and_then(|any| any.downcast_ref::<M>());
            one.id == TypeId::of::<M>()
                && (pattern.as_ref()).is_none_or(|pattern| pattern.matches(&one.call.path))
                && message.is_some_and(|message| self.conditions.iter().all(|holds| holds(message)))
        };
        let mut found = 0;
        let look = |all: &mut [Arrived]| {
            let left = (0..all.len()).filter(|at| all[*at].message.is_some());
            let them: Vec<usize> = if self.next {
                let next: Vec<usize> = left.take(n).collect();
                if !next.iter().all(|at| is_it(&all[*at])) {
                    found = next.iter().take_while(|at| is_it(&all[**at])).count();
                    return Peek::Never;
                }
                next
            } else {
                left.filter(|at| is_it(&all[*at])).take(n).collect()
            };
            found = them.len();
            if found < n {
                return Peek::NotYet;
            }
            Peek::Found(them.iter().map(|at| taken(&mut all[*at])).collect())
        };
        match self.face.arrivals.until(self.within, look).await {
            Ok(them) => them,
            Err(came) if n == 1 => panic!("{}\n{came}", self.text(n)),
            Err(came) => panic!("{}, and got {found}\n{came}", self.text(n)),
        }
    }

    /// Describes what is expected, and where in the test.
    fn text(&self, n: usize) -> String {
        let Expect {
            face,
            within,
            place,
            ..
        } = self;
        let (name, of) = (&face.name, type_name::<M>());
        let next = if self.next { " next" } else { "" };
        let number = match n {
            1 => "a".to_owned(),
            n => n.to_string(),
        };
        let at = match &self.at {
            Some(at) => format!(" at `{at}`"),
            None => String::new(),
        };
        let matching = match self.conditions.is_empty() {
            true => "",
            false => ", of which a condition holds,",
        };
        format!(
            "`{name}` was to get{next} {number} `{of}`{at}{matching} within {within:?} ({place})"
        )
    }
}

impl<M: Message> ExpectMany<'_, M> {
    /// As [`Expect::at`].
    pub fn at(mut self, path: &str) -> Self {
        self.each = self.each.at(path);
        self
    }

    /// As [`Expect::matching`].
    pub fn matching(mut self, condition: impl Fn(&M) -> bool + Send + Sync + 'static) -> Self {
        self.each = self.each.matching(condition);
        self
    }

    /// Sets how long to wait for all of them; as [`Expect::within`].
    pub fn within(mut self, within: Duration) -> Self {
        self.each = self.each.within(within);
        self
    }

    /// Waits like `.await`, and returns each message with its path and its sender.
    ///
    /// # Panics
    /// As [`Probe::expect`](crate::Probe::expect).
    pub async fn received(self) -> Vec<Received<M>> {
        self.each.take(self.n).await
    }
}

fn taken<M: Message>(one: &mut Arrived) -> Received<M> {
    let message = one.message.take().and_then(|any| any.downcast().ok());
    Received {
        message: *message.expect("it was looked at before"),
        call: one.call.clone(),
    }
}

impl<'p, M: Message> IntoFuture for Expect<'p, M> {
    type Output = M;
    type IntoFuture = Pin<Box<dyn Future<Output = M> + Send + 'p>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.received().await.message })
    }
}

impl<'p, M: Message> IntoFuture for ExpectMany<'p, M> {
    type Output = Vec<M>;
    type IntoFuture = Pin<Box<dyn Future<Output = Vec<M>> + Send + 'p>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            let all = self.received().await;
            all.into_iter().map(|one| one.message).collect()
        })
    }
}
