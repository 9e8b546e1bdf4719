//! What the threads of a system share, and what watches over waits.

pub(crate) mod deadlock;
pub(crate) mod blocking;
pub(crate) mod shared;
