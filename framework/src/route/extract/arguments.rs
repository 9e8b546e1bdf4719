//! The extractors that come with the framework.

use std::any::type_name;
use std::fmt::{self, Display};
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::{Address, Delivery, Extractor, States};
use crate::words::error::{CaptureError, MountError};

/// A capture of the path, parsed: the first `Path` argument takes the first capture, the next one the
/// next.
///
/// # Examples
/// ```
/// # use mycelia::prelude::*;
/// # #[derive(Message)] #[message(reply = String)] struct Show;
/// # #[derive(Subsystem)] struct Blog;
/// #[routes]
/// impl Blog {
///     #[route("users/{id}/posts/{slug}")]
///     fn show(&mut self, _: Show, Path(id): Path<u64>, Path(slug): Path<String>) -> String {
///         format!("{slug} by {id}")
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T> Extractor for Path<T>
where
    T: FromStr + Send + 'static,
    T::Err: Display,
{
    const CAPTURES: usize = 1;
    type Packed = T;

    #[inline]
    fn pack(address: &mut Address<'_>) -> Result<T, CaptureError> {
        address.capture()
    }

    #[inline]
    fn unpack(packed: T, _: &Delivery<'_>) -> Self {
        Path(packed)
    }
}

/// The text after `?` in the path, as it stood there; `None` for a path without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(pub Option<String>);

impl Extractor for Query {
    type Packed = Option<String>;

    fn pack(address: &mut Address<'_>) -> Result<Self::Packed, CaptureError> {
        Ok(address.query().map(str::to_owned))
    }

    fn unpack(packed: Self::Packed, _: &Delivery<'_>) -> Self {
        Query(packed)
    }
}

/// The name of the subsystem whose handler sent the message; `None` for a message from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(pub Option<Arc<str>>);

impl Extractor for Sender {
    type Packed = ();

    fn pack(_: &mut Address<'_>) -> Result<(), CaptureError> {
        Ok(())
    }

    fn unpack((): (), delivery: &Delivery<'_>) -> Self {
        Sender(delivery.sender())
    }
}

/// The time that was left until the message's deadline when the handler began; `None` without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Option<Duration>);

impl Extractor for Deadline {
    type Packed = ();

    fn pack(_: &mut Address<'_>) -> Result<(), CaptureError> {
        Ok(())
    }

    fn unpack((): (), delivery: &Delivery<'_>) -> Self {
        Deadline(delivery.remaining())
    }
}

/// State shared by all subsystems of a system, given with `System::builder().state(…)`.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Message)]
/// struct Hit;
/// #[derive(Subsystem, Default)]
/// struct Counter;
/// #[derive(Default)]
/// struct Hits(AtomicU64);
///
/// #[routes]
/// impl Counter {
///     #[route("hit")]
///     fn hit(&mut self, _: Hit, State(hits): State<Hits>) {
///         hits.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
/// ```
pub struct State<T>(pub Arc<T>);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        State(self.0.clone())
    }
}

impl<T: fmt::Debug> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.0).finish()
    }
}

impl<T: Send + Sync + 'static> Extractor for State<T> {
    type Packed = ();

    fn pack(_: &mut Address<'_>) -> Result<(), CaptureError> {
        Ok(())
    }

    fn unpack((): (), delivery: &Delivery<'_>) -> Self {
        State(delivery.state().expect("the mount was refused without it"))
    }

    fn check(states: &States) -> Result<(), MountError> {
        match states.get::<T>() {
            Some(_) => Ok(()),
            None => Err(MountError::NoState {
                subsystem: Box::default(),
                state: type_name::<T>(),
            }),
        }
    }
}
