//! Programs in which every message has one way to go: a pair, a ring, a fork.

use super::parts::{Sum, cast, play};
use crate::savina::stage::{Note, Outbox, Play, Program, Role};

/// Notes that a role sends in one go before it lets others in.
const BURST: u64 = 128;

/// Two actors and one message between them.
#[derive(Debug)]
pub struct PingPong;

struct Ping {
    left: u64,
    pongs: u64,
}

struct Pong;

impl Role for Ping {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        self.pongs += u64::from(note.word == 1);
        if self.left == 0 {
            return out.finish(self.pongs);
        }
        self.left -= 1;
        out.send(1, 0, 0, 0);
    }
}

impl Role for Pong {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        out.send(note.from, 1, 0, 0);
    }
}

impl Program for PingPong {
    fn play(messages: u64) -> Play {
        let pings = messages / 2;
        let ping = Ping {
            left: pings,
            pongs: 0,
        };
        play(cast(ping, 1, |_| Pong), pings * 2, pings)
    }
}

/// One actor counts what another sends.
#[derive(Debug)]
pub struct Counting;

struct Producer {
    left: u64,
}

#[derive(Default)]
struct Counter(u64);

impl Role for Producer {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        if note.word == 1 {
            return out.finish(note.a);
        }
        let burst = self.left.min(BURST);
        self.left -= burst;
        for _ in 0..burst {
            out.send(1, 0, 0, 0);
        }
        match self.left {
            0 => out.send(1, 1, 0, 0),
            _ => out.again(0),
        }
    }
}

impl Role for Counter {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        match note.word {
            0 => self.0 += 1,
            _ => out.send(note.from, 1, self.0, 0),
        }
    }
}

impl Program for Counting {
    fn play(messages: u64) -> Play {
        let roles = cast(Producer { left: messages }, 1, |_| Counter::default());
        play(roles, messages, messages)
    }
}

/// One message round a ring.
#[derive(Debug)]
pub struct ThreadRing;

const RING: u32 = 100;

struct Link {
    next: u32,
    hops: u64,
}

impl Role for Link {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        let left = if note.word == 0 { self.hops } else { note.a };
        match left {
            0 => out.finish(u64::from(self.next)),
            _ => out.send(self.next, 1, left - 1, 0),
        }
    }
}

impl Program for ThreadRing {
    fn play(messages: u64) -> Play {
        let link = |me: u32| Link {
            next: (me + 1) % RING,
            hops: messages,
        };
        let last = (messages % u64::from(RING)) as u32;
        let result = u64::from((last + 1) % RING);
        play(cast(link(0), RING - 1, link), messages, result)
    }
}

/// One actor throws at many, in turn.
#[derive(Debug)]
pub struct ForkJoin;

const WORKERS: u32 = 60;

struct Thrower {
    rounds: u64,
    sum: Sum,
}

struct Catcher {
    caught: u64,
    wanted: u64,
    value: f64,
}

impl Role for Thrower {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        if note.word == 1 {
            if self.sum.add(note.a, u64::from(WORKERS)) {
                out.finish(self.sum.total);
            }
            return;
        }
        for worker in 1..=WORKERS {
            out.send(worker, 0, 0, 0);
        }
        self.rounds -= 1;
        if self.rounds > 0 {
            out.again(0);
        }
    }
}

impl Role for Catcher {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        // The work of the original.
        self.value = std::hint::black_box((self.value + 37.2).sin());
        self.caught += 1;
        if self.caught == self.wanted {
            out.send(note.from, 1, self.caught, 0);
        }
    }
}

impl Program for ForkJoin {
    fn play(messages: u64) -> Play {
        let rounds = messages / u64::from(WORKERS);
        let thrower = Thrower {
            rounds,
            sum: Sum::default(),
        };
        let catcher = |_| Catcher {
            caught: 0,
            wanted: rounds,
            value: 0.0,
        };
        let all = rounds * u64::from(WORKERS);
        play(cast(thrower, WORKERS, catcher), all, all)
    }
}
