//! Extractors: what a handler takes besides its message, as plain arguments.
//!
//! An extractor works in two steps. At the sender it takes what it needs from the path, and that travels beside the
//! message. So a capture that does not parse is the sender's error, and no text travels. At the receiver it becomes the
//! argument, and may look at the [`Delivery`].

mod address;
mod arguments;
mod captures;
mod reply;

use std::any::{Any, TypeId};
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{Clock, Due, Stamp};
use crate::base::user_code::Contained;
use crate::envelope::Apart;
use crate::words::error::{CaptureError, MountError};
use crate::words::trace::TraceId;

pub use address::Address;
pub(crate) use address::{Rejection, Source};
pub use arguments::{Deadline, Path, Query, Sender, State};
pub use captures::{AsCapture, Capture, Captures};
pub(crate) use reply::Deferrals;
pub use reply::Reply;

/// An argument of a handler, after its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor",
    label = "a handler can't take this argument",
    note = "after the message a handler takes `Path<T>`, `Query`, `Sender`, `Deadline`, `State<T>`, `Context`, `System` or `Reply<M>` of its message, in any order; `T` of `Path<T>` needs `FromStr`"
)]
pub trait Extractor: Sized + 'static {
    /// How many captures of the path it takes.
    const CAPTURES: usize = 0;

    /// What travels beside the message; `Clone` for a handler that may keep its message for later.
    type Packed: Send + 'static;

    /// Takes what it needs from the path, at the sender.
    ///
    /// # Errors
    /// The capture that does not parse.
    fn pack(address: &mut Address<'_>) -> Result<Self::Packed, CaptureError>;

    /// Becomes the argument, at the receiver.
    fn unpack(packed: Self::Packed, delivery: &Delivery<'_>) -> Self;

    /// Refuses the mount of a subsystem whose handlers want what the system does not have.
    ///
    /// # Errors
    /// What is lacking.
    fn check(_states: &States) -> Result<(), MountError> {
        Ok(())
    }
}

/// What the receiver knows of a message when its handler begins.
pub struct Delivery<'a> {
    /// The number of the subsystem that handles it.
    pub(crate) receiver: SenderId,
    /// The number of the subsystem whose handler sent it; 0 for a sender outside.
    pub(crate) sender: SenderId,
    pub(crate) due: Due,
    pub(crate) trace: u64,
    pub(crate) started: Stamp,
    pub(crate) surroundings: &'a dyn Surroundings,
    /// True while a handler runs that can't wait.
    pub(crate) in_sync_handler: &'a Cell<bool>,
}

/// The number of the subsystem that sent a message; 0 for none.
pub(crate) type SenderId = u32;

/// What a system tells extractors.
pub(crate) trait Surroundings {
    fn name_of(&self, sender: SenderId) -> Option<Arc<str>>;
    fn states(&self) -> &States;
    fn clock(&self) -> &Clock;

    /// What a subsystem's later replies share. It is made for the first of them.
    fn deferrals(&self, of: SenderId) -> Option<Arc<Deferrals>>;

    /// Does work on a thread for blocking handlers. Its result is `None` if there are no such threads any more.
    fn block(&self, of: &Delivery<'_>, work: Work) -> Away;
}

/// Work that blocks its thread.
pub(crate) type Work = Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>;
/// The result of such work, from its thread.
pub(crate) type Away = Pin<Box<dyn Future<Output = Option<Box<dyn Any + Send>>>>>;

impl Delivery<'_> {
    /// The name of the subsystem whose handler sent the message; `None` for one from outside.
    pub fn sender(&self) -> Option<Arc<str>> {
        match self.sender {
            0 => None,
            sender => self.surroundings.name_of(sender),
        }
    }

    /// The time left until the message's deadline, if it has one.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.due.stamp()?;
        let left_ns = self.surroundings.clock().between_ns(self.started, deadline);
        Some(Duration::from_nanos(left_ns))
    }

    /// The trace that the message belongs to.
    pub fn trace(&self) -> TraceId {
        TraceId(self.trace)
    }

    /// Shared state of the system.
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.surroundings.states().get()
    }
}

impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("sender", &self.sender())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

/// The shared states of a system, by type.
#[derive(Default)]
pub struct States(HashMap<TypeId, Contained<Arc<dyn Any + Send + Sync>>>);

impl States {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, state: Arc<T>) {
        self.0.insert(TypeId::of::<T>(), Contained::new(state));
    }

    /// The state of type `T`.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let state: &Arc<dyn Any + Send + Sync> = self.0.get(&TypeId::of::<T>())?;
        state.clone().downcast().ok()
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

/// What an extractor unwinds with if it needs its system, and the system was dropped. The message counts as
/// undeliverable, and the subsystem has not failed.
pub(crate) struct Abandoned;

/// Ends the call of a handler whose system was dropped. It does not run the panic hook.
#[cold]
pub(crate) fn abandoned() -> ! {
    std::panic::resume_unwind(Box::new(Abandoned))
}

/// The extractors of one handler, as a tuple; implemented for up to eight.
pub trait Extract: Sized + 'static {
    /// What travels beside the message; `Clone` for a handler that may keep its message for later.
    type Packed: Send + 'static;

    /// Packs each.
    ///
    /// # Errors
    /// The first capture that does not parse.
    fn pack(address: &mut Address<'_>) -> Result<Self::Packed, CaptureError>;

    /// Unpacks each.
    fn unpack(packed: Self::Packed, delivery: &Delivery<'_>) -> Self;

    /// Checks each.
    ///
    /// # Errors
    /// What is lacking.
    fn check(states: &States) -> Result<(), MountError>;
}

macro_rules! extract_tuples {
    ($(($($name:ident $at:tt),*))*) => {$(
        impl<$($name: Extractor),*> Extract for ($($name,)*) {
            type Packed = ($(Apart<$name::Packed>,)*);

            #[inline]
            #[allow(unused_variables, reason = "nothing to read for the empty tuple")]
            fn pack(address: &mut Address<'_>) -> Result<Self::Packed, CaptureError> {
                Ok(($(Apart::new($name::pack(address)?),)*))
            }

            #[inline]
            #[allow(unused_variables, clippy::unused_unit, reason = "as above")]
            fn unpack(packed: Self::Packed, delivery: &Delivery<'_>) -> Self {
                let unpacked = ($(Apart::new($name::unpack(packed.$at.into_inner(), delivery)),)*);
                ($(unpacked.$at.into_inner(),)*)
            }

            #[allow(unused_variables, reason = "as above")]
            fn check(states: &States) -> Result<(), MountError> {
                $($name::check(states)?;)*
                Ok(())
            }
        }
    )*};
}

extract_tuples! {
    ()
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
