//! `Captures`: the parts of a path that a pattern captures, as up to eight spans of its text.
//!
//! Spans instead of slices keep it at 56 bytes, cheap to return and to copy. A caller that keeps the text can
//! keep the [`Spans`] beside it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::path::PathRef;
use crate::pattern::MAX_CAPTURES;
use crate::text;

/// The captured parts of a path, in the order of the pattern's captures.
///
/// Holds no heap memory. A `{*rest}` capture is one part: the remaining segments as written in the path, joined
/// by their `/`.
///
/// # Examples
/// ```
/// use mycelia_core::{PathRef, Pattern, Router};
///
/// let mut router = Router::new();
/// router.insert(Pattern::parse("{owner}/{*file}")?, ())?;
/// let found = router.find(&PathRef::parse("git://j%C3%B6/src/lib.rs")?).unwrap();
/// assert_eq!(found.captures.raw(0), Some("j%C3%B6"));
/// assert_eq!(found.captures.get(0).as_deref(), Some("jö"));
/// assert_eq!(found.captures.get(1).as_deref(), Some("src/lib.rs"));
/// assert_eq!(found.captures.get(2), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Captures<'p> {
    text: &'p str,
    spans: Spans,
}

/// The byte ranges of the captures in the text of their path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spans {
    // Start and end. Both fit: a path has at most 1024 bytes.
    spans: [(u16, u16); MAX_CAPTURES],
    len: u8,
    has_escapes: bool,
}

impl Spans {
    /// Returns the captures of a text that equals the path in which these spans were found. Of another text,
    /// returns the spans that lie within it.
    ///
    /// # Examples
    /// ```
    /// use mycelia_core::{PathRef, Pattern, Router};
    ///
    /// let mut router = Router::new();
    /// router.insert(Pattern::parse("users/{id}")?, ())?;
    /// let spans = {
    ///     let path = String::from("api://users/42");
    ///     router.find(&PathRef::parse(&path)?).unwrap().captures.spans()
    /// };
    /// assert_eq!(spans.of("api://users/42").raw(0), Some("42"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn of(self, text: &str) -> Captures<'_> {
        Captures { text, spans: self }
    }
}

impl<'p> Captures<'p> {
    #[inline]
    pub(crate) fn none_of(path: &PathRef<'p>) -> Self {
        Self {
            text: path.as_str(),
            spans: Spans {
                spans: [(0, 0); MAX_CAPTURES],
                len: 0,
                has_escapes: path.has_escapes(),
            },
        }
    }

    /// Returns the spans of the captures.
    #[inline]
    pub fn spans(&self) -> Spans {
        self.spans
    }

    /// Returns whether the captures may contain percent escapes.
    #[inline]
    pub fn has_escapes(&self) -> bool {
        self.spans.has_escapes
    }

    /// Adds a span; a pattern has at most [`MAX_CAPTURES`], so there is room.
    #[inline]
    pub(crate) fn push(&mut self, start: usize, end: usize) {
        let Spans { spans, len, .. } = &mut self.spans;
        spans[usize::from(*len)] = (start as u16, end as u16);
        *len += 1;
    }

    /// Removes the spans after the first `len`.
    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.spans.len = len as u8;
    }

    /// Returns the number of captures.
    pub fn len(&self) -> usize {
        usize::from(self.spans.len)
    }

    /// Whether nothing was captured.
    pub fn is_empty(&self) -> bool {
        self.spans.len == 0
    }

    /// Returns the byte range of a capture in the text of the path.
    ///
    /// # Examples
    /// ```
    /// use mycelia_core::{PathRef, Pattern, Router};
    ///
    /// let mut router = Router::new();
    /// router.insert(Pattern::parse("users/{id}")?, ())?;
    /// let found = router.find(&PathRef::parse("api://users/42")?).unwrap();
    /// assert_eq!(found.captures.span(0), Some(12..14));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn span(&self, index: usize) -> Option<Range<usize>> {
        let &(start, end) = self.spans.spans[..self.len()].get(index)?;
        Some(usize::from(start)..usize::from(end))
    }

    /// Returns a capture as written in the path, escapes included.
    #[inline]
    pub fn raw(&self, index: usize) -> Option<&'p str> {
        self.text.get(self.span(index)?)
    }

    /// Returns a capture, decoded. Allocates only if it has escapes.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Cow<'p, str>> {
        let raw = self.raw(index)?;
        Some(if self.has_escapes() {
            text::decode(raw)
        } else {
            Cow::Borrowed(raw)
        })
    }

    /// Returns the decoded captures in order.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'p, str>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl fmt::Debug for Captures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
