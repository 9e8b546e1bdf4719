//! The promises that are measured in real time. They are a program of their own, so that the others do not take their
//! time from them.

#[path = "../common/mod.rs"]
mod common;

mod fairness;
mod pauses;
mod scheduling;
mod truth;
