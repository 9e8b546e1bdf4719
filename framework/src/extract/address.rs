//! A message's address, as extractors read it at the sender.

use std::any::{Any, TypeId, type_name};
use std::fmt::Display;
use std::str::FromStr;

use super::Capture;
use crate::error::CaptureError;

/// Where captures come from: a path that was matched, or values given to a handle.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    Path(&'a mycelia_core::Captures<'a>),
    Values(&'a [Capture<'a>]),
}

/// A capture as it came with a message.
#[cfg(feature = "test")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// As it stood in a path.
    Written(Box<str>),
    /// As it was given to a handle.
    Value(Box<str>),
}

#[cfg(feature = "test")]
impl Given {
    /// What it means.
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Given::Written(text) => mycelia_core::decode(text),
            Given::Value(text) => std::borrow::Cow::Borrowed(text),
        }
    }
}

/// A message's address, as extractors read it at the sender: captures, one after the other, and the
/// query.
#[derive(Debug)]
pub struct Address<'a> {
    source: Source<'a>,
    query: Option<&'a str>,
    next: usize,
    /// What was wrong with a capture.
    pub(crate) error: Option<CaptureError>,
}

impl<'a> Address<'a> {
    pub(crate) fn new(source: Source<'a>, query: Option<&'a str>) -> Self {
        Address {
            source,
            query,
            next: 0,
            error: None,
        }
    }

    /// To be read once more.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }

    /// All captures, as they came; reads none.
    #[cfg(feature = "test")]
    pub(crate) fn given(&self) -> Vec<Given> {
        match self.source {
            Source::Path(captures) => (0..captures.len())
                .filter_map(|index| captures.raw(index))
                .map(|text| Given::Written(text.into()))
                .collect(),
            Source::Values(values) => (values.iter())
                .map(|value| match value {
                    Capture::Text(text) => Given::Value((*text).into()),
                    Capture::Unsigned(n) => Given::Value(n.to_string().into()),
                    Capture::Signed(n) => Given::Value(n.to_string().into()),
                })
                .collect(),
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
