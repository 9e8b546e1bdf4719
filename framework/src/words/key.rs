//! The key of a subsystem that was mounted on demand.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The key of a subsystem that was mounted on demand: the text that stands in its name for the pattern's capture.
/// It is a `str`, so that `key.parse::<u64>()` works.
///
/// It is made for [`System::mount_on_demand`](crate::System::mount_on_demand)'s factory, and is what
/// [`Context::key`](crate::Context::key) returns.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The subsystem's.
    name: Arc<str>,
    /// Where the key begins in it.
    at: usize,
}

impl Key {
    pub(crate) fn new(name: Arc<str>, at: usize) -> Self {
        Key { name, at }
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        self.name.get(self.at..).unwrap_or_default()
    }
}

impl Deref for Key {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
