//! The keepers: actors that watch over the subsystems and never stand in a message's way.

pub(crate) mod supervisor;
pub(crate) mod registry;
