//! Messages that are timed together, where stamps are shared: see [`Stamps::Shared`].
//!
//! [`Stamps::Shared`]: crate::observe::Stamps::Shared

use super::HostEnv;
use super::batch::TurnBatch;
use crate::base::clock::Stamp;
use crate::envelope::Envelope;
use crate::thread::stamps::SHARE;

/// Longest that a message may have taken on average, in nanoseconds, for twice as many to be timed
/// together next.
const SHORT_NS: u64 = 1_250;

/// A run of messages handled one after the other, with one reading before them and one after.
pub(super) struct StampRun {
    /// When the first of them began; 0 if none has.
    began: Stamp,
    /// Most that may belong to it, and how many do.
    size: u32,
    count: u32,
    /// The place of the first among the batch samples.
    from: usize,
    /// When the run before it ended, if nothing has happened since; else 0.
    before: Stamp,
}

impl StampRun {
    pub(super) fn new() -> Self {
        StampRun {
            began: Stamp(0),
            size: 1,
            count: 0,
            from: 0,
            before: Stamp(0),
        }
    }

    /// True for a message of the run that is under way.
    #[inline]
    pub(super) fn is_timed_with(&self, started: Stamp) -> bool {
        self.began != Stamp(0) && self.began == started
    }
}

impl TurnBatch<'_> {
    /// When the next message begins, as far as it is read.
    #[inline]
    pub(super) fn begin_alike<S>(&mut self, env: &HostEnv<S>) -> Stamp {
        match self.alike.began {
            Stamp(0) => self.begin_run(env),
            began => began,
        }
    }

    #[inline(never)]
    fn begin_run<S>(&mut self, env: &HostEnv<S>) -> Stamp {
        let began = match std::mem::replace(&mut self.alike.before, Stamp(0)) {
            Stamp(0) => self.read(env),
            before => before,
        };
        self.keep_room(env, SHARE as usize);
        self.alike.began = began;
        self.alike.count = 0;
        self.alike.from = self.sample_count();
        began
    }

    fn read<S>(&self, env: &HostEnv<S>) -> Stamp {
        let now = env.shared.clock.now();
        self.local.stamp.renew(now, env.shared.tick())
    }

    /// Notes a message that was handled.
    #[inline]
    pub(super) fn sample_alike<S>(&mut self, env: &HostEnv<S>, envelope: &Envelope<'_>) {
        let head = envelope.head();
        let began = self.alike.began;
        self.push(env, head.route, Stamp(head.sent), began, began);
        self.alike.count += 1;
        if self.alike.count == self.alike.size {
            self.alike.before = self.end_run(env);
        }
    }

    /// Ends the run, if there is one: something else follows than a message.
    #[inline]
    pub(super) fn end_alike<S>(&mut self, env: &HostEnv<S>) {
        self.alike.before = Stamp(0);
        if self.alike.began != Stamp(0) {
            self.end_run(env);
        }
    }

    #[inline(never)]
    fn end_run<S>(&mut self, env: &HostEnv<S>) -> Stamp {
        let StampRun { began, count, .. } = self.alike;
        let ended = self.read(env);
        self.alike.began = Stamp(0);
        self.local.latest.set(ended);
        if count == 0 {
            return ended;
        }
        let each = ended.0.saturating_sub(began.0) / u64::from(count);
        let mut at = began.0;
        for sample in self.samples_from(self.alike.from) {
            sample.started = Stamp(at);
            at += each;
            sample.ended = Stamp(at);
        }
        let is_short = env.shared.clock.between_ns(Stamp(0), Stamp(each)) < SHORT_NS;
        self.alike.size = if is_short {
            (self.alike.size * 2).min(SHARE)
        } else {
            1
        };
        ended
    }
}
