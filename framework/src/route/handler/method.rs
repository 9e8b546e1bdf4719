//! A user's method, and the kinds of methods.

use std::marker::PhantomData;

/// A user's method, with the types that it takes and returns. `Kind` says how it is called.
pub(crate) struct Method<Kind, F, M, A, R> {
    pub(super) method: F,
    types: PhantomData<fn(Kind, M, A) -> R>,
}

/// The kind of a method that answers at once.
pub(crate) enum AtOnce {}

/// The kind of a method that may wait.
pub(crate) enum Awaited {}

/// The kind of a method that blocks its thread.
pub(crate) enum OffThread {}

/// The kind of a method that returns at once, and whose reply comes later.
pub(crate) enum ReplyLater {}

/// The kind of a method that may wait, and whose reply comes later.
pub(crate) enum AwaitedReplyLater {}

impl<Kind, F, M, A, R> Method<Kind, F, M, A, R> {
    pub(crate) fn new(method: F) -> Self {
        Method {
            method,
            types: PhantomData,
        }
    }
}
