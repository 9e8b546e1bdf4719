//! What a message costs, measured against the peers.
//!
//! Every program here runs all its contenders in one process, each in its own best idiom and in its
//! fastest build, and checks what the handlers really received: a count that is off ends the program
//! with an error, never with a figure.
//!
//! # Layout
//! A file uses only what is declared above it.
//! - `allocator`, `process`: what is measured besides time: allocations, memory, processor time
//! - `versions`, `stats`: which peers, and what is said of several rounds
//! - `tally`: the messages, and what a handler keeps of them
//! - [`contender`]: what a contender must be able to do; [`contenders`]: each in its own idiom
//! - [`workload`]: a question, and what an answer is made of
//! - [`open_loop`]: latency at fixed rates; [`savina`]: whole programs; [`workloads`]: one question each, put to all
//!   contenders
//! - [`report`]: rounds, table, JSON and chart

pub mod allocator;
pub mod process;
pub mod stats;
pub mod versions;

pub mod tally;

pub mod contender;
pub mod contenders;

pub mod workload;

pub mod open_loop;
pub mod savina;
pub mod workloads;

pub mod report;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;
