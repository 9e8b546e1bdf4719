//! The accounts of topics: what happened to each copy of a published message.

use std::sync::Arc;

use crate::base::sync::{AtomicU64, Ordering};

/// What happened to the copies of one published message: `matched = accepted + missed + closed`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Published {
    /// How many subscribers the topic had for messages of this type.
    pub matched: u64,
    /// How many copies are in their mailboxes, and in the accounts of their receivers from there on.
    pub accepted: u64,
    /// How many were not accepted because there was no room, or because a capture did not parse. Each is
    /// a dead letter, unless it was for a [stream](crate::TopicStream), which counts them itself.
    pub missed: u64,
    /// How many subscribers had ended when their copy came.
    pub closed: u64,
}

/// What happened to all copies of messages that were published on a pattern:
/// `matched = accepted + missed + closed + cut + waiting`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TopicLedger {
    /// How many copies were to be sent.
    pub matched: u64,
    /// How many are in their mailboxes, and in the accounts of their receivers from there on.
    pub accepted: u64,
    /// How many were not accepted because there was no room, or because a capture did not parse.
    pub missed: u64,
    /// How many subscribers had ended when their copy came.
    pub closed: u64,
    /// How many had no room yet when their publisher was dropped, or unwound.
    pub cut: u64,
    /// How many wait for room now.
    pub waiting: u64,
}

impl TopicLedger {
    pub(crate) fn include(&mut self, other: Self) {
        let TopicLedger {
            matched,
            accepted,
            missed,
            closed,
            cut,
            waiting,
        } = other;
        self.matched += matched;
        self.accepted += accepted;
        self.missed += missed;
        self.closed += closed;
        self.cut += cut;
        self.waiting += waiting;
    }
}

/// A pattern that is, or was, subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicSnapshot {
    /// The pattern: `orders://placed/{id}`.
    pub topic: Arc<str>,
    /// How many subscribe to it.
    pub subscribers: u64,
    /// What happened to the copies of messages that were published there.
    pub ledger: TopicLedger,
}

/// What was published in a system.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicsSnapshot {
    /// The patterns that are subscribed to, in the order of their texts.
    pub topics: Vec<TopicSnapshot>,
    /// What happened to copies on patterns that have no subscriber any more.
    pub gone: TopicLedger,
    /// How many messages were published that no one subscribed to.
    pub unheard: u64,
}

impl TopicsSnapshot {
    /// The pattern with that text.
    pub fn topic(&self, topic: &str) -> Option<&TopicSnapshot> {
        self.topics.iter().find(|one| &*one.topic == topic)
    }

    /// The account of all patterns.
    pub fn total(&self) -> TopicLedger {
        let mut total = self.gone;
        for topic in &self.topics {
            total.include(topic.ledger);
        }
        total
    }
}

/// The account of one pattern, written by its publishers.
#[derive(Debug, Default)]
pub(crate) struct TopicCounts {
    matched: AtomicU64,
    accepted: AtomicU64,
    missed: AtomicU64,
    closed: AtomicU64,
    cut: AtomicU64,
}

/// How a copy ended, for its publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyEnd {
    Accepted,
    Missed,
    Closed,
}

impl Published {
    pub(crate) fn count(&mut self, end: CopyEnd) {
        match end {
            CopyEnd::Accepted => self.accepted += 1,
            CopyEnd::Missed => self.missed += 1,
            CopyEnd::Closed => self.closed += 1,
        }
    }
}

impl TopicCounts {
    pub(crate) fn read(&self) -> TopicLedger {
        // First how many have ended: never too few wait.
        let [accepted, missed, closed, cut] =
            [&self.accepted, &self.missed, &self.closed, &self.cut]
                .map(|count| count.load(Ordering::Acquire));
        let matched = self.matched.load(Ordering::Acquire);
        TopicLedger {
            matched,
            accepted,
            missed,
            closed,
            cut,
            waiting: matched - (accepted + missed + closed + cut).min(matched),
        }
    }
}

/// Copies that were matched and have not ended; those that have not when it is dropped are cut.
#[derive(Debug)]
pub(crate) struct OpenCopies {
    counts: Arc<TopicCounts>,
    open: u64,
    ended: Published,
}

impl OpenCopies {
    pub(crate) fn begin(counts: &Arc<TopicCounts>, copies: u64) -> Self {
        counts.matched.fetch_add(copies, Ordering::Relaxed);
        let ended = Published {
            matched: copies,
            ..Published::default()
        };
        OpenCopies {
            counts: counts.clone(),
            open: copies,
            ended,
        }
    }

    /// One of them has ended.
    #[inline]
    pub(crate) fn end(&mut self, end: CopyEnd) {
        self.open -= 1;
        self.ended.count(end);
    }

    /// Lets one of them end on its own.
    pub(crate) fn part(&mut self) -> Self {
        self.open -= 1;
        OpenCopies {
            counts: self.counts.clone(),
            open: 1,
            ended: Published::default(),
        }
    }

    /// What has ended so far.
    pub(crate) fn ended(&self) -> Published {
        self.ended
    }
}

impl Drop for OpenCopies {
    fn drop(&mut self) {
        let Published {
            accepted,
            missed,
            closed,
            ..
        } = self.ended;
        let counts = &*self.counts;
        for (count, ended) in [
            (&counts.accepted, accepted),
            (&counts.missed, missed),
            (&counts.closed, closed),
            (&counts.cut, self.open),
        ] {
            if ended > 0 {
                count.fetch_add(ended, Ordering::Release);
            }
        }
    }
}
