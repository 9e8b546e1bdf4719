//! Extractors: what a handler takes besides its message, as plain arguments.
//!
//! An extractor works in two steps. At the sender it takes what it needs from the path and packs it
//! beside the message: a capture that does not parse is the sender's error, and no text travels. At
//! the receiver it is unpacked, and may look at the [`Delivery`].

use std::any::{Any, TypeId, type_name};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{CaptureError, MountError};

/// An argument of a handler, after its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor",
    label = "a handler can't take this argument",
    note = "after the message a handler takes `Path<T>`, `Query`, `Sender`, `Deadline`, `State<T>` or `System`, in any order; `T` of `Path<T>` needs `FromStr`"
)]
pub trait Extractor: Sized + 'static {
    /// How many captures of the path it takes.
    const CAPTURES: usize = 0;

    /// What travels beside the message.
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

/// A value for a capture, given to a resolved handle in place of a path's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capture<'a> {
    /// Text, as it would stand in a path after decoding.
    Text(&'a str),
    /// A number; reaches a handler's integer without becoming text.
    Unsigned(u64),
    /// A number below zero.
    Signed(i64),
}

/// Where captures come from: a path that was matched, or values given to a handle.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    Path(&'a mycelia_core::Captures<'a>),
    Values(&'a [Capture<'a>]),
}

/// A message's address, as extractors read it at the sender: captures, one after the other, and the
/// query.
#[derive(Debug)]
pub struct Address<'a> {
    source: Source<'a>,
    query: Option<&'a str>,
    next: usize,
}

impl<'a> Address<'a> {
    pub(crate) fn new(source: Source<'a>, query: Option<&'a str>) -> Self {
        Address {
            source,
            query,
            next: 0,
        }
    }

    /// The text after `?`, as it stands in the path.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// Parses the next capture.
    ///
    /// # Errors
    /// There is none, or it is not a `T`.
    #[inline]
    pub fn capture<T>(&mut self) -> Result<T, CaptureError>
    where
        T: FromStr + 'static,
        T::Err: Display,
    {
        let index = self.next;
        self.next += 1;
        match self.source {
            Source::Path(captures) => match captures.raw(index) {
                // Nothing escaped: the raw text is the text.
                Some(raw) if !raw.as_bytes().contains(&b'%') => parse(index, raw),
                _ => match captures.get(index) {
                    Some(text) => parse(index, &text),
                    None => Err(CaptureError::Missing { index }),
                },
            },
            Source::Values(values) => match values.get(index) {
                None => Err(CaptureError::Missing { index }),
                Some(Capture::Text(text)) => parse(index, text),
                Some(Capture::Unsigned(n)) => number(index, i128::from(*n)),
                Some(Capture::Signed(n)) => number(index, i128::from(*n)),
            },
        }
    }
}

fn parse<T>(index: usize, text: &str) -> Result<T, CaptureError>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse()
        .map_err(|error: T::Err| CaptureError::Unparsable {
            index,
            text: text.into(),
            wanted: type_name::<T>(),
            error: error.to_string().into(),
        })
}

/// A number as a `T`: directly if `T` is an integer, else by way of text.
#[inline]
fn number<T>(index: usize, n: i128) -> Result<T, CaptureError>
where
    T: FromStr + 'static,
    T::Err: Display,
{
    macro_rules! directly {
        ($($integer:ty)*) => {$(
            if TypeId::of::<T>() == TypeId::of::<$integer>()
                && let Ok(n) = <$integer>::try_from(n)
                && let Some(n) = same_type::<$integer, T>(n)
            {
                return Ok(n);
            }
        )*};
    }
    directly!(u64 u32 usize i64 i32 u16 u8 i16 i8 isize u128 i128);
    parse(index, &n.to_string())
}

/// `value` as a `T`, if `T` is its very type; the optimiser removes the question.
fn same_type<A: 'static, T: 'static>(value: A) -> Option<T> {
    let mut slot = Some(value);
    (&mut slot as &mut dyn Any)
        .downcast_mut::<Option<T>>()
        .and_then(Option::take)
}

/// What the receiver knows of a message when its handler begins.
pub struct Delivery<'a> {
    pub(crate) sender: SenderId,
    pub(crate) remaining: Option<Duration>,
    pub(crate) surroundings: &'a dyn Surroundings,
}

/// The number of the subsystem that sent a message; 0 for none.
pub(crate) type SenderId = u32;

/// What a system tells extractors.
pub(crate) trait Surroundings {
    fn name_of(&self, sender: SenderId) -> Option<Arc<str>>;
    fn states(&self) -> &States;
}

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
        self.remaining
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
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}

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
                state: type_name::<T>(),
            }),
        }
    }
}

/// The shared states of a system, by type.
#[derive(Default)]
pub struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, state: Arc<T>) {
        self.0.insert(TypeId::of::<T>(), state);
    }

    /// The state of type `T`.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let state = self.0.get(&TypeId::of::<T>())?;
        state.clone().downcast().ok()
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.0.len())
    }
}

/// The extractors of one handler, as a tuple; implemented for up to eight.
pub trait Extract: Sized + 'static {
    /// What travels beside the message.
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
            type Packed = ($($name::Packed,)*);

            #[inline]
            #[allow(unused_variables, reason = "nothing to read for the empty tuple")]
            fn pack(address: &mut Address<'_>) -> Result<Self::Packed, CaptureError> {
                Ok(($($name::pack(address)?,)*))
            }

            #[inline]
            #[allow(unused_variables, clippy::unused_unit, reason = "as above")]
            fn unpack(packed: Self::Packed, delivery: &Delivery<'_>) -> Self {
                ($($name::unpack(packed.$at, delivery),)*)
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

/// Captures given to a resolved handle: a number, a text, or a tuple or array of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't stand for captures",
    label = "not captures",
    note = "give an integer, a `&str`, a `String`, an array of one of these, or a tuple of up to four"
)]
pub trait Captures {
    /// Calls `f` with the captures in order.
    fn with<R>(&self, f: impl FnOnce(&[Capture<'_>]) -> R) -> R;
}

/// One capture.
pub trait AsCapture {
    /// The capture.
    fn as_capture(&self) -> Capture<'_>;
}

macro_rules! number_captures {
    ($variant:ident $wide:ty: $($number:ty)*) => {$(
        impl AsCapture for $number {
            #[inline]
            fn as_capture(&self) -> Capture<'_> {
                Capture::$variant(*self as $wide)
            }
        }
        impl Captures for $number {
            #[inline]
            fn with<R>(&self, f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
                f(&[self.as_capture()])
            }
        }
    )*};
}
number_captures!(Unsigned u64: u8 u16 u32 u64 usize);
number_captures!(Signed i64: i8 i16 i32 i64 isize);

impl AsCapture for str {
    fn as_capture(&self) -> Capture<'_> {
        Capture::Text(self)
    }
}
impl AsCapture for String {
    fn as_capture(&self) -> Capture<'_> {
        Capture::Text(self)
    }
}
impl AsCapture for Cow<'_, str> {
    fn as_capture(&self) -> Capture<'_> {
        Capture::Text(self)
    }
}
impl<T: AsCapture + ?Sized> AsCapture for &T {
    fn as_capture(&self) -> Capture<'_> {
        (**self).as_capture()
    }
}
impl Captures for &str {
    fn with<R>(&self, f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
        f(&[self.as_capture()])
    }
}
impl Captures for String {
    fn with<R>(&self, f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
        f(&[self.as_capture()])
    }
}
impl Captures for () {
    fn with<R>(&self, f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
        f(&[])
    }
}
impl<T: AsCapture, const N: usize> Captures for [T; N] {
    fn with<R>(&self, f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
        f(&self.each_ref().map(AsCapture::as_capture))
    }
}

macro_rules! tuple_captures {
    ($(($($name:ident $at:tt),*))*) => {$(
        impl<$($name: AsCapture),*> Captures for ($($name,)*) {
            fn with<R>(&self, f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
                f(&[$(self.$at.as_capture()),*])
            }
        }
    )*};
}
tuple_captures! { (A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) }
