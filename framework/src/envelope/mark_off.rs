//! No mark: no message meets a fault. It stands in for `mark.rs` without the feature `test`.

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mark;
