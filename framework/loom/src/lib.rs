//! Models of mycelia's lock-free files: the shipped sources, compiled against loom.
//!
//! loom runs a model many times, each time with another interleaving of its threads and another allowed outcome
//! of its relaxed loads. It reports any run in which a thread reads what it must not see yet, an assertion fails,
//! or all threads sleep forever. The files under test are taken by path from `framework/src`. Replaced are only
//! their `crate::base::sync`, the thread that a sender or a host runs on, the system as a waiting sender uses it,
//! and what surrounds the books of a host's turn. The `DashMap` under the directory is replaced by a map that
//! keeps its promise that each operation is atomic. Run with `cargo test -p mycelia-loom`. `.ci/break-models`
//! shows that the models can fail: it breaks the shipped files, one after the other, and expects a model to
//! notice.
//!
//! loom does not try: some orders of one thread's loads and another's stores, unless that is enabled (see `word`);
//! spurious failures of `compare_exchange_weak` (every such loop retries anyway); and the wrapping of a count
//! after 2^40 steps.
// The models do not use all of the shipped files' items.
#![allow(dead_code, unreachable_pub)]

// The modules of the shipped crate that the models need.
#[path = "../../src/base"]
mod base {
    pub(crate) mod clock;
    pub(crate) mod deferred;
    pub(crate) mod sim;
    #[path = "../../loom/src/sync.rs"]
    pub(crate) mod sync;
    pub(crate) mod user_code;
    pub(crate) mod versioned;
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

// Replacements for parts of the standard library and of dashmap.
mod map;
mod mounted;
mod once;
mod word;

#[cfg(test)]
mod models;
