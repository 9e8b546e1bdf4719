//! Models of mycelia's lock-free files: the very sources that ship, compiled against loom.
//!
//! loom runs a model again and again, each time with another interleaving of its threads and another
//! admissible outcome of its relaxed loads, and reports any run in which a thread reads what it must
//! not see yet, an assertion fails, or all threads sleep for ever. The files under test are taken by
//! path from `framework/src`; only their `crate::sync` is another one. Run with
//! `cargo test -p mycelia-loom`.
//!
//! What loom does not try: failures of `compare_exchange_weak` for no reason (every such loop goes
//! round anyway), and a count's wrapping after 2^40 steps.
#![allow(dead_code)] // The shipped files offer more than the models use.

#[path = "../../src/mailbox/inbox.rs"]
mod inbox;
#[path = "../../src/envelope/reply.rs"]
mod reply;
#[path = "../../src/pool/stack.rs"]
mod stack;
mod sync;
#[path = "../../src/token.rs"]
mod token;
#[path = "../../src/pool/waiters.rs"]
mod waiters;
mod waker;

#[cfg(test)]
mod models;
