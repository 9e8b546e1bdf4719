//! The state that the threads of a system share, and the detection of deadlocks.

pub(crate) mod deadlock;
pub(crate) mod blocking;
pub(crate) mod shared;
mod surroundings;
mod demand;
