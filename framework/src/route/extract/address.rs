//! A message's address, as extractors read it at the sender.

use std::any::{Any, TypeId, type_name};
use std::fmt::{Display, Write};
use std::hash::Hasher;
use std::str::FromStr;
use std::time::Duration;

use rustc_hash::FxHasher;

use super::Capture;
use crate::words::error::CaptureError;

/// Where captures come from: a path that was matched, or values given to a handle.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    Path(&'a mycelia_core::Captures<'a>),
    Values(&'a [Capture<'a>]),
}

/// Why a route does not take a message.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// A capture did not parse.
    Capture(CaptureError),
    /// The route's admission refused it, for that long.
    NotAdmitted(Duration),
}

/// A message's address, as extractors read it at the sender: captures, one after the other, and the
/// query.
#[derive(Debug)]
pub struct Address<'a> {
    pub(crate) source: Source<'a>,
    query: Option<&'a str>,
    /// The index of the next capture.
    next: usize,
    /// Why the route does not take the message.
    pub(crate) rejection: Option<Rejection>,
}

impl<'a> Address<'a> {
    pub(crate) fn new(source: Source<'a>, query: Option<&'a str>) -> Self {
        Address {
            source,
            query,
            next: 0,
            rejection: None,
        }
    }

    /// Starts again with the first capture.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }

    /// The text after `?`, as it stands in the path.
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// A hash of a capture's text. `None` if there is no such capture.
    pub(crate) fn key(&self, index: usize) -> Option<u64> {
        match self.source {
            Source::Path(captures) if captures.has_escapes() => {
                captures.get(index).map(|text| hash(text.as_bytes()))
            }
            Source::Path(captures) => captures.raw(index).map(|text| hash(text.as_bytes())),
            Source::Values(values) => values.get(index).map(|value| match value {
                Capture::Text(text) => hash(text.as_bytes()),
                Capture::Unsigned(n) => hash(Digits::of(n).text().as_bytes()),
                Capture::Signed(n) => hash(Digits::of(n).text().as_bytes()),
            }),
        }
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
            Source::Path(captures) if captures.has_escapes() => match captures.get(index) {
                Some(text) => parse(index, &text),
                None => Err(CaptureError::Missing { index }),
            },
            Source::Path(captures) => match captures.raw(index) {
                Some(text) => parse(index, text),
                None => Err(CaptureError::Missing { index }),
            },
            Source::Values(values) => match values.get(index) {
                None => Err(CaptureError::Missing { index }),
                Some(value) => number(index, *value),
            },
        }
    }
}

/// The text of a number, without a heap allocation.
struct Digits {
    bytes: [u8; 24],
    len: usize,
}

impl Digits {
    fn of(n: impl Display) -> Self {
        let mut digits = Digits {
            bytes: [0; 24],
            len: 0,
        };
        // No 64-bit number is longer.
        let _ = write!(digits, "{n}");
        digits
    }

    fn text(&self) -> &str {
        // It has digits and perhaps a sign.
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// A hash that is spread over all 64 bits.
fn hash(text: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    let mut mixed = hasher.finish();
    mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
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

/// A capture as a `T`. A number becomes an integer directly, and any other type by way of its text.
#[inline]
fn number<T>(index: usize, n: Capture<'_>) -> Result<T, CaptureError>
where
    T: FromStr + 'static,
    T::Err: Display,
{
    macro_rules! directly {
        ($n:ident: $($integer:ty)*) => {$(
            if TypeId::of::<T>() == TypeId::of::<$integer>()
                && let Ok(n) = <$integer>::try_from($n)
                && let Some(n) = same_type::<$integer, T>(n)
            {
                return Ok(n);
            }
        )*};
    }
    let digits = match n {
        Capture::Text(text) => return parse(index, text),
        Capture::Unsigned(n) => {
            directly!(n: u64 u32 usize i64 i32 u16 u8 i16 i8 isize u128 i128);
            Digits::of(n)
        }
        Capture::Signed(n) => {
            directly!(n: i64 i32 isize u64 u32 usize i16 i8 u16 u8 i128 u128);
            Digits::of(n)
        }
    };
    parse(index, digits.text())
}

/// `value` as a `T`, if that is its type. The optimiser removes the check.
fn same_type<A: 'static, T: 'static>(value: A) -> Option<T> {
    let mut slot = Some(value);
    (&mut slot as &mut dyn Any)
        .downcast_mut::<Option<T>>()
        .and_then(Option::take)
}
