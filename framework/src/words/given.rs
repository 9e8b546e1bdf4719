//! The captures of a message, as they came with it.

use std::borrow::Cow;

use crate::route::extract::{Address, Capture, Source};

/// A capture as it came with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// As it stood in a path.
    Written(Box<str>),
    /// As it was given to a handle.
    Value(Box<str>),
}

impl Given {
    /// What it means.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Given::Written(text) => mycelia_core::decode(text),
            Given::Value(text) => Cow::Borrowed(text),
        }
    }

    /// All captures of an address; reads none.
    pub(crate) fn all_of(address: &Address<'_>) -> Vec<Given> {
        match address.source {
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
}
