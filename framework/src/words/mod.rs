//! The words that users say: messages, errors, policies, events. They are values; what acts on them stands further
//! down.

pub(crate) mod priority;
pub(crate) mod message;
pub(crate) mod trace;
pub(crate) mod tap;
pub(crate) mod overflow;
pub(crate) mod slice;
pub(crate) mod stuck;
pub(crate) mod supervision;
pub(crate) mod stop_reason;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod error;
pub(crate) mod admission;
pub(crate) mod events;
