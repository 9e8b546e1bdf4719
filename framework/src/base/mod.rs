//! The lowest layer: atomics and locks, time, guards around user code. No file here knows of messages.

pub(crate) mod sync;
pub(crate) mod user_code;
pub(crate) mod sim;
pub(crate) mod clock;
pub(crate) mod deferred;
pub(crate) mod waker_slot;
pub(crate) mod broadcast;
pub(crate) mod feed;
pub(crate) mod versioned;
pub(crate) mod task_list;
pub(crate) mod thread_handle;
