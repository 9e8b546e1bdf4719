//! The mark of a message that meets faults, as its sender wrote it on the envelope. `mark_off.rs` is its
//! stand-in without the feature `test`.

/// Stands for the faults that a message meets; 0 for none.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) u16);

impl Mark {
    pub(crate) const NONE: Mark = Mark(0);
}
