//! Records about messages: how long they took, and which could not be delivered.

pub(crate) mod dead_letters;
pub(crate) mod latency;
pub(crate) mod topics;
