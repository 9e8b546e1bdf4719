//! Captures given to a resolved handle as values, in place of a path's text.

use std::borrow::Cow;

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
