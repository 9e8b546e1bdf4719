//! Models of mycelia's lock-free files: the very sources that ship, compiled against loom.
//!
//! loom runs a model again and again, each time with another interleaving of its threads and another
//! admissible outcome of its relaxed loads, and reports any run in which a thread reads what it must
//! not see yet, an assertion fails, or all threads sleep forever. The files under test are taken by
//! path from `framework/src`; only their `crate::base::sync`, the thread that a sender or a host runs on, what a sender
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

// The rooms of the shipped crate, as far as the models go.
#[path = "../../src/base"]
mod base {
    pub(crate) mod clock;
    pub(crate) mod deferred;
    pub(crate) mod sim;
    #[path = "../../loom/src/sync.rs"]
    pub(crate) mod sync;
    pub(crate) mod user_code;
    pub(crate) mod waker_slot;
}

#[path = "../../src/words"]
mod words {
    #[path = "../../loom/src/error.rs"]
    pub(crate) mod error;
    pub(crate) mod ledger;
    pub(crate) mod overflow;
    pub(crate) mod priority;
}

mod envelope;

#[path = "../../src/books"]
mod books {
    pub(crate) mod latency;
}

mod thread;

#[path = "../../src/mailbox/mod.rs"]
mod mailbox;

#[path = "../../src/directory/mod.rs"]
mod directory;

#[path = "../../src/runtime"]
mod runtime {
    pub(crate) mod deadlock;
    #[path = "../../loom/src/shared.rs"]
    pub(crate) mod shared;
}

mod host;
mod send;

// What the models have in place of the standard library's and dashmap's parts.
mod map;
mod mounted;
mod once;
mod word;

#[cfg(test)]
mod models;
