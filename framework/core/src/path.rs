//! `PathRef`: a parsed, borrowed path `name://segment/segment?query`.
//!
//! The first stop of every message sent by path (**path** → route → envelope). Its promise: one pass over the
//! bytes, no allocation, no panic on any input, and a parsed path needs no further check. Parsing
//! `api://users/42` takes about 10 ns.

use std::error::Error;
use std::fmt;

use crate::text::{self, MAX_PATH_LEN, MAX_SEGMENTS};

/// The most bytes in the name of a subsystem, without the names of its parents.
pub const MAX_NAME_LEN: usize = 64;

/// The most bytes in the full name of a subsystem, with the names of its parents before it.
pub const MAX_FULL_NAME_LEN: usize = 512;

const SEPARATOR: &[u8] = b"://";

/// Why a text is not a path.
///
/// Nothing was sent. The same text fails in the same way again. Positions are in bytes from the start of the
/// text.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathError {
    /// The text is longer than [`MAX_PATH_LEN`] bytes.
    TooLong {
        /// The length in bytes.
        len: usize,
    },
    /// The text has no `://`.
    NoScheme,
    /// The name is empty, or has a byte that names can't contain.
    BadName {
        /// The position of the first byte that can't be part of the name.
        at: usize,
    },
    /// A part of the name is longer than [`MAX_NAME_LEN`] bytes.
    LongName {
        /// The position where the part starts.
        at: usize,
    },
    /// All parts of the name together are longer than [`MAX_FULL_NAME_LEN`] bytes.
    LongFullName {
        /// The length in bytes.
        len: usize,
    },
    /// Two `/` follow each other, or a `/` is first or last.
    EmptySegment {
        /// The position where a segment is missing.
        at: usize,
    },
    /// A `%` is not followed by two hex digits.
    BadEscape {
        /// The position of the `%`.
        at: usize,
    },
    /// The text, or a segment once decoded, is not UTF-8.
    NotUtf8,
    /// The text has a control character, `{`, `}` or `#`.
    BadByte {
        /// The position of that character.
        at: usize,
    },
    /// There are more than [`MAX_SEGMENTS`] segments.
    TooManySegments,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len } => {
                write!(
                    f,
                    "the path has {len} bytes, at most {MAX_PATH_LEN} are allowed"
                )
            }
            Self::NoScheme => {
                f.write_str("the path has no `://`, write it as `name://segment/segment`")
            }
            Self::BadName { at } => write!(
                f,
                "the subsystem's name ends wrongly at byte {at}, use 1 to {MAX_NAME_LEN} ASCII \
                 letters, digits, `_`, `.` and `-`, with single `/` between parts"
            ),
            Self::LongName { at } => write!(
                f,
                "the part of the subsystem's name at byte {at} is longer than {MAX_NAME_LEN} bytes, \
                 shorten it"
            ),
            Self::LongFullName { len } => write!(
                f,
                "the subsystem's name has {len} bytes with its parents' names, at most \
                 {MAX_FULL_NAME_LEN} are allowed"
            ),
            Self::EmptySegment { at } => {
                write!(f, "the segment at byte {at} is empty, remove a `/`")
            }
            Self::BadEscape { at } => write!(
                f,
                "the `%` at byte {at} needs two hex digits after it, write a plain `%` as `%25`"
            ),
            Self::NotUtf8 => f.write_str("the path is not UTF-8 once its escapes are decoded"),
            Self::BadByte { at } => write!(
                f,
                "the byte at {at} is not allowed in a path, escape control characters, `{{`, \
                 `}}` and `#` as `%` and two hex digits"
            ),
            Self::TooManySegments => {
                write!(f, "the path has more than {MAX_SEGMENTS} segments")
            }
        }
    }
}

impl Error for PathError {}

/// A parsed path, borrowed from its text.
///
/// `api://users/42?x=1` has the name `api`, the segments `users` and `42` and
/// the query `x=1`. Two paths are equal when their texts are.
///
/// # Examples
/// ```
/// use mycelia_core::PathRef;
///
/// let path = PathRef::parse("api://users/42?x=1")?;
/// assert_eq!(path.name(), "api");
/// assert_eq!(path.segments().collect::<Vec<_>>(), ["users", "42"]);
/// assert_eq!(path.query(), Some("x=1"));
/// assert_eq!(path.to_string(), "api://users/42?x=1");
/// # Ok::<(), mycelia_core::PathError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PathRef<'a> {
    text: &'a str,
    // All positions fit: the text has at most MAX_PATH_LEN bytes.
    name_end: u16,
    rest_end: u16,
    segment_count: u8,
    has_escapes: bool,
}

impl<'a> PathRef<'a> {
    /// Parses a text in one pass, without allocating.
    ///
    /// # Errors
    /// Returns the first violation of the grammar, as a [`PathError`].
    ///
    /// # Examples
    /// ```
    /// use mycelia_core::{PathError, PathRef};
    ///
    /// assert!(PathRef::parse("parent/child://").is_ok());
    /// assert_eq!(PathRef::parse("users/42"), Err(PathError::NoScheme));
    /// assert_eq!(PathRef::parse("a://x//y"), Err(PathError::EmptySegment { at: 6 }));
    /// ```
    pub fn parse(text: &'a str) -> Result<Self, PathError> {
        let bytes = text.as_bytes();
        if bytes.len() > MAX_PATH_LEN {
            return Err(PathError::TooLong { len: bytes.len() });
        }
        let name_end = match scan_name(bytes) {
            Ok(end) if bytes[end..].starts_with(SEPARATOR) => end,
            Ok(at) => return Err(name_error(text, PathError::BadName { at })),
            Err(error) => return Err(name_error(text, error)),
        };

        let start = name_end + SEPARATOR.len();
        let mut segment = start;
        let mut slashes = 0;
        let mut has_escapes = false;
        let mut has_wide_escapes = false;
        let mut at = start;
        while let Some(&byte) = bytes.get(at) {
            if text::is_plain(byte) {
                at += 1;
                continue;
            }
            match byte {
                b'/' if at == segment => return Err(PathError::EmptySegment { at }),
                b'/' => {
                    slashes += 1;
                    at += 1;
                    segment = at;
                }
                b'?' => break,
                b'%' => {
                    let escape = text::escape_at(bytes, at).ok_or(PathError::BadEscape { at })?;
                    has_escapes = true;
                    has_wide_escapes |= !escape.is_ascii();
                    at += 3;
                }
                _ => return Err(PathError::BadByte { at }),
            }
        }
        if at == segment && at != start {
            return Err(PathError::EmptySegment { at });
        }
        let segment_count = if at == start { 0 } else { slashes + 1 };
        if segment_count > MAX_SEGMENTS {
            return Err(PathError::TooManySegments);
        }
        // Escapes of ASCII keep UTF-8 valid, so only the others need this check.
        if has_wide_escapes && !text::decodes_to_utf8(&text[start..at]) {
            return Err(PathError::NotUtf8);
        }
        if let Some(bad) = bytes[at..]
            .iter()
            .position(|&byte| text::is_forbidden(byte))
        {
            return Err(PathError::BadByte { at: at + bad });
        }
        Ok(Self {
            text,
            name_end: name_end as u16,
            rest_end: at as u16,
            segment_count: segment_count as u8,
            has_escapes,
        })
    }

    /// Parses arbitrary bytes: first as UTF-8, then as [`parse`](Self::parse) does.
    ///
    /// # Errors
    /// [`PathError::NotUtf8`], or what `parse` returns.
    ///
    /// # Examples
    /// ```
    /// use mycelia_core::{PathError, PathRef};
    ///
    /// assert!(PathRef::parse_bytes(b"api://users").is_ok());
    /// assert_eq!(PathRef::parse_bytes(b"api://\xff"), Err(PathError::NotUtf8));
    /// ```
    pub fn parse_bytes(bytes: &'a [u8]) -> Result<Self, PathError> {
        if bytes.len() > MAX_PATH_LEN {
            return Err(PathError::TooLong { len: bytes.len() });
        }
        Self::parse(std::str::from_utf8(bytes).map_err(|_| PathError::NotUtf8)?)
    }

    /// Returns the whole text as it was parsed.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Returns the name of the subsystem, the text before `://`.
    #[inline]
    pub fn name(&self) -> &'a str {
        &self.text[..usize::from(self.name_end)]
    }

    /// Returns the raw text between `://` and `?`; empty for the root.
    #[inline]
    pub fn rest(&self) -> &'a str {
        &self.text[self.rest_start()..self.rest_end()]
    }

    /// Returns the raw text after the first `?`, if there is one. Its escapes are not checked.
    pub fn query(&self) -> Option<&'a str> {
        self.text.get(self.rest_end() + 1..)
    }

    /// Returns the raw segments in order; none for the root.
    ///
    /// # Examples
    /// ```
    /// use mycelia_core::{PathRef, decode};
    ///
    /// let path = PathRef::parse("files://a%2Fb/c")?;
    /// let decoded: Vec<_> = path.segments().map(decode).collect();
    /// assert_eq!(decoded, ["a/b", "c"]);
    /// # Ok::<(), mycelia_core::PathError>(())
    /// ```
    pub fn segments(&self) -> Segments<'a> {
        Segments {
            rest: (self.segment_count > 0).then(|| self.rest()),
        }
    }

    /// Returns the number of segments, at most [`MAX_SEGMENTS`].
    pub fn segment_count(&self) -> usize {
        usize::from(self.segment_count)
    }

    /// Whether a segment has a percent escape and needs decoding.
    #[inline]
    pub fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    #[inline]
    pub(crate) fn rest_start(&self) -> usize {
        usize::from(self.name_end) + SEPARATOR.len()
    }

    #[inline]
    pub(crate) fn rest_end(&self) -> usize {
        usize::from(self.rest_end)
    }
}

impl fmt::Display for PathRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text)
    }
}

/// The raw segments of a path; see [`PathRef::segments`].
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        self.rest = after;
        Some(segment)
    }
}

impl std::iter::FusedIterator for Segments<'_> {}

/// Checks whether a text can be the name of a subsystem.
///
/// A name is made of parts of 1 to [`MAX_NAME_LEN`] bytes: the names of the parents, then its own. A part has
/// ASCII letters, digits, `_`, `.` and `-`; a single `/` separates two parts. The whole has at most
/// [`MAX_FULL_NAME_LEN`] bytes.
///
/// # Errors
/// [`PathError::BadName`] with the first byte that can't be part of the name; [`PathError::LongName`] or
/// [`PathError::LongFullName`] if it is too long.
///
/// # Examples
/// ```
/// use mycelia_core::{PathError, check_name};
///
/// assert_eq!(check_name("parent/child-2"), Ok(()));
/// assert_eq!(check_name("two words"), Err(PathError::BadName { at: 3 }));
/// assert_eq!(check_name(""), Err(PathError::BadName { at: 0 }));
/// ```
pub fn check_name(name: &str) -> Result<(), PathError> {
    match scan_name(name.as_bytes()) {
        Ok(end) if end == name.len() => Ok(()),
        Ok(at) => Err(PathError::BadName { at }),
        Err(error) => Err(error),
    }
}

/// Finds the end of the name that the bytes start with.
#[inline]
fn scan_name(bytes: &[u8]) -> Result<usize, PathError> {
    let mut part = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if !text::is_in_name(byte) {
            if byte != b'/' {
                break;
            }
            if at == part || at - part > MAX_NAME_LEN {
                return Err(part_error(part, at));
            }
            part = at + 1;
        }
        at += 1;
    }
    if at == part || at - part > MAX_NAME_LEN {
        return Err(part_error(part, at));
    }
    if at > MAX_FULL_NAME_LEN {
        return Err(PathError::LongFullName { len: at });
    }
    Ok(at)
}

#[cold]
fn part_error(part: usize, end: usize) -> PathError {
    if end == part {
        PathError::BadName { at: part }
    } else {
        PathError::LongName { at: part }
    }
}

#[cold]
fn name_error(text: &str, error: PathError) -> PathError {
    if text.contains("://") {
        error
    } else {
        PathError::NoScheme
    }
}
