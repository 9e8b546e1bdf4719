//! Models of mycelia's lock-free files: the very sources that ship, compiled against loom.
//!
//! loom runs a model again and again, each time with another interleaving of its threads and another
//! admissible outcome of its relaxed loads, and reports any run in which a thread reads what it must
//! not see yet, an assertion fails, or all threads sleep for ever. The files under test are taken by
//! path from `framework/src`; only their `crate::sync`, the thread that a sender or a host runs on, what a sender
//! that waits asks of its system, and what surrounds the books of a host's turn, are others; and the `DashMap` under the directory, of which is kept what it
//! promises, that each operation is one step.
//! Run with `cargo test -p mycelia-loom`. That the models can fail is shown by `.ci/break-models`, which
//! breaks the shipped files one way after the other and wants a model to notice.
//!
//! What loom does not try: many an order of one thread's loads and another's stores, unless it is told to
//! (see `word`); failures of `compare_exchange_weak` for no reason (every such loop goes
//! round anyway), and a count's wrapping after 2^40 steps.
// The shipped files offer more than the models use, and to others than this crate.
#![allow(dead_code, unreachable_pub)]

#[path = "../../src/clock/mod.rs"]
mod clock;
#[path = "../../src/deferred.rs"]
mod deferred;
#[path = "../../src/directory/mod.rs"]
mod directory;
mod envelope;
mod error;
#[path = "../../src/fate.rs"]
mod fate;
mod host;
#[path = "../../src/latency/mod.rs"]
mod latency;
#[path = "../../src/ledger.rs"]
mod ledger;
mod local;
#[path = "../../src/mailbox/mod.rs"]
mod mailbox;
mod map;
mod mounted;
mod once;
#[path = "../../src/overflow.rs"]
mod overflow;
#[path = "../../src/priority.rs"]
mod priority;
#[path = "../../src/envelope/reply.rs"]
mod reply;
mod send;
mod shared;
mod sync;
#[path = "../../src/token.rs"]
mod token;
#[path = "../../src/user_code.rs"]
mod user_code;
#[path = "../../src/waits/mod.rs"]
mod waits;
#[path = "../../src/waker_slot.rs"]
mod waker_slot;
mod word;

#[path = "../../src/pool"]
mod pool {
    pub(crate) mod lane;
    pub(crate) mod reserve;
    pub(crate) mod stack;
    pub(crate) mod waiters;
}

#[cfg(test)]
mod models;
