//! The tap: through it the test kit sees the messages of a system, and has them meet faults.
//! `send → `**`tap`**` → route`, `host → `**`tap`**` → handler`
//!
//! A system has one or none. It is asked before a message goes into a mailbox, where the whole path is known, and
//! what it answers is written on the envelope as a mark. A host asks it again before the handler of a marked
//! message. Without the feature `test` there is no question in the machine code: `slot_off.rs` stands in for
//! `slot.rs` then.
#![cfg_attr(
    not(feature = "test"),
    allow(dead_code, unreachable_pub, reason = "the test kit implements it")
)]

#[cfg_attr(not(feature = "test"), path = "slot_off.rs")]
mod slot;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use mycelia_core::Pattern;

use crate::words::priority::Priority;
pub(crate) use slot::{Hold, Mark, TapSlot};

/// Sees the messages of a system. It must not send.
pub trait Tap: Any + Send + Sync {
    /// False while it wants to hear of nothing: it is asked this for every message.
    fn is_active(&self) -> bool;

    /// True if an attempt to send is to find the mailbox full. The message stays with its sender.
    fn finds_full(&self, message: &Outgoing<'_>) -> bool;

    /// A message is about to be put into a mailbox, which may refuse it.
    fn sending<'t>(&'t self, message: &Outgoing<'_>) -> Passing<'t>;

    /// A message was accepted, and is dropped at once for want of room.
    fn dropped(&self, message: &Outgoing<'_>);

    /// The handler of a message with this mark is about to begin. It is asked once for each mark.
    fn beginning(&self, mark: u16) -> Planned;
}

/// A message that is about to be sent.
pub struct Outgoing<'o> {
    /// The name of the subsystem that gets it.
    pub subsystem: &'o str,
    /// The route's pattern.
    pub pattern: &'o Pattern,
    /// What stands for the captures of the pattern, in their order.
    pub captures: Vec<Given>,
    /// The text after `?` in the path.
    pub query: Option<&'o str>,
    /// The subsystem whose handler sends it.
    pub sender: Option<Arc<str>>,
    /// How urgent it is.
    pub priority: Priority,
    /// The name of its type.
    pub type_name: &'static str,
    /// The message.
    pub message: &'o dyn Any,
}

/// What a tap has to do with a message that is being sent.
pub struct Passing<'t> {
    /// Is given back to the tap before the message is handled, unless it is 0.
    pub mark: u16,
    /// To be called if the mailbox accepts the message; else it is dropped.
    pub accepted: Option<Box<dyn FnOnce() + 't>>,
}

/// What a host is to do with a marked message before its handler begins.
pub enum Planned {
    /// To call the handler.
    Nothing,
    /// To hold it back for so long; then it has this mark.
    Delay(Duration, u16),
    /// To end it as dropped.
    Drop,
    /// To panic with this text, as if the handler did.
    Panic(String),
}

/// A capture as it came with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// As it stood in a path, with its escapes.
    Written(Box<str>),
    /// As it was given to a handle.
    Value(Box<str>),
}
