//! The two subsystems, `api` and `db`, and the messages that they take.
//!
//! Each does the work of the original's handlers: it reads its capture and its message and builds a
//! reply. It also adds a mark of what it has seen to a checksum, which the sender knows independently:
//! a message lost, handled twice, mixed up or given another's capture shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mycelia::prelude::*;

/// The small object that the original sends; inline, so that sending it allocates nothing.
pub(crate) type Data = [u64; 3];

/// Asks `api://users/{id}` for a user.
#[derive(Message)]
#[message(reply = User)]
pub(crate) struct GetUser {
    pub(crate) number: u64,
    pub(crate) data: Data,
}

pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) mark: u64,
}

/// Asks `db://query` for the rows of a user.
#[derive(Message)]
#[message(reply = Rows)]
pub(crate) struct Search {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) data: Data,
}

pub(crate) struct Rows {
    pub(crate) id: u64,
    pub(crate) mark: u64,
}

/// Warms everything up that a message goes through, but for the measured routes: their latencies
/// are those of the measured messages only.
#[derive(Message)]
pub(crate) struct WarmUp {
    pub(crate) data: Data,
}

/// Asks for the checksum. A sender's messages are handled in the order sent: once this is answered,
/// all that it sent before has been handled.
#[derive(Message)]
#[message(reply = Checksum)]
pub(crate) struct GetChecksum;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) handled: u64,
    pub(crate) sum: u64,
}

/// What a message leaves in the checksum.
#[inline]
pub(crate) fn mark(id: u64, number: u64, data: &Data) -> u64 {
    let [a, b, c] = data;
    let seen = id ^ number.rotate_left(20) ^ a.wrapping_add(b ^ c).rotate_left(40);
    seen.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// How many messages a subsystem has handled, for anyone who looks on from outside. One writer.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Calls(AtomicU64);

impl Calls {
    #[inline]
    fn add_one(&self) {
        // No other thread writes: no locked instruction is needed.
        let calls = self.0.load(Ordering::Relaxed);
        self.0.store(calls + 1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Subsystem)]
#[subsystem(name = "api")]
pub(crate) struct Api {
    sum: u64,
    calls: Arc<Calls>,
}

#[derive(Subsystem)]
#[subsystem(name = "db")]
pub(crate) struct Db {
    sum: u64,
    calls: Arc<Calls>,
}

impl Api {
    pub(crate) fn new(calls: Arc<Calls>) -> Self {
        Api { sum: 0, calls }
    }
}

impl Db {
    pub(crate) fn new(calls: Arc<Calls>) -> Self {
        Db { sum: 0, calls }
    }
}

#[routes]
impl Api {
    #[route("users/{id}")]
    fn user(&mut self, msg: GetUser, Path(id): Path<u64>) -> User {
        let mark = mark(id, msg.number, &msg.data);
        self.sum = self.sum.wrapping_add(mark);
        self.calls.add_one();
        User { id, mark }
    }

    #[route("warm-up/{id}")]
    fn warm_up(&mut self, msg: WarmUp, Path(id): Path<u64>) {
        std::hint::black_box(mark(id, 0, &msg.data));
    }

    #[route("checksum")]
    fn checksum(&mut self, _: GetChecksum) -> Checksum {
        Checksum {
            handled: self.calls.get(),
            sum: self.sum,
        }
    }
}

#[routes]
impl Db {
    #[route("query")]
    fn query(&mut self, msg: Search) -> Rows {
        let mark = mark(msg.id, msg.number, &msg.data);
        self.sum = self.sum.wrapping_add(mark);
        self.calls.add_one();
        Rows { id: msg.id, mark }
    }

    #[route("warm-up/{id}")]
    fn warm_up(&mut self, msg: WarmUp, Path(id): Path<u64>) {
        std::hint::black_box(mark(id, 0, &msg.data));
    }

    #[route("checksum")]
    fn checksum(&mut self, _: GetChecksum) -> Checksum {
        Checksum {
            handled: self.calls.get(),
            sum: self.sum,
        }
    }
}
