//! What the threads of a system share, and what watches over waits.

pub(crate) mod deadlock;
pub(crate) mod blocking;
#[cfg_attr(not(feature = "test"), path = "taps_off.rs")]
pub(crate) mod taps;
pub(crate) mod shared;
