//! `Pattern`: the parsed pattern of a route, `users/{id}/posts/{*rest}`.
//!
//! The macros parse patterns at compile time, and the runtime does when a subsystem is mounted, so parsing may
//! allocate. Every error has its byte position, because the macros report it at the user's token. The syntax is
//! that of axum and matchit.

use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::text::{self, MAX_PATH_LEN, MAX_SEGMENTS};

/// The most captures in a pattern, `{*rest}` included.
pub const MAX_CAPTURES: usize = 8;

/// Why a text is not a pattern.
///
/// Positions are in bytes from the start of the text; [`at`](Self::at) returns the position of any error.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "every `at` is the position that `at()` returns"
)]
pub enum PatternError {
    /// The text is longer than [`MAX_PATH_LEN`] bytes.
    TooLong { len: usize },
    /// The text has `://`: a pattern starts after it.
    HasScheme { at: usize },
    /// The text has `?`: a pattern ends before it.
    HasQuery { at: usize },
    /// Two `/` follow each other, or a `/` is first or last.
    EmptySegment { at: usize },
    /// A `%` is not followed by two hex digits.
    BadEscape { at: usize },
    /// The literal segment at this place is not UTF-8 once decoded.
    NotUtf8 { at: usize },
    /// A literal has a control character or `#`.
    BadByte { at: usize },
    /// A brace is in a segment with other text.
    PartialCapture { at: usize },
    /// A `{` has no `}` in its segment.
    UnclosedCapture { at: usize },
    /// The name of a capture is not an identifier.
    BadCaptureName { at: usize },
    /// Two captures have the same name.
    DuplicateCapture { at: usize },
    /// A `{*rest}` is followed by more segments.
    RestNotLast { at: usize },
    /// There are more than [`MAX_CAPTURES`] captures.
    TooManyCaptures { at: usize },
    /// There are more than [`MAX_SEGMENTS`] segments.
    TooManySegments { at: usize },
}

impl PatternError {
    /// Returns the position of the error in the text.
    ///
    /// # Examples
    /// ```
    /// use mycelia_core::Pattern;
    ///
    /// let error = Pattern::parse("users/{id}.json").unwrap_err();
    /// assert_eq!(error.at(), 6);
    /// assert_eq!(
    ///     error.to_string(),
    ///     "a capture must be a whole segment, put a `/` around the braces at byte 6",
    /// );
    /// ```
    pub fn at(&self) -> usize {
        match *self {
            Self::TooLong { .. } => MAX_PATH_LEN,
            Self::HasScheme { at }
            | Self::HasQuery { at }
            | Self::EmptySegment { at }
            | Self::BadEscape { at }
            | Self::NotUtf8 { at }
            | Self::BadByte { at }
            | Self::PartialCapture { at }
            | Self::UnclosedCapture { at }
            | Self::BadCaptureName { at }
            | Self::DuplicateCapture { at }
            | Self::RestNotLast { at }
            | Self::TooManyCaptures { at }
            | Self::TooManySegments { at } => at,
        }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len } => {
                write!(
                    f,
                    "the pattern has {len} bytes, at most {MAX_PATH_LEN} are allowed"
                )
            }
            Self::HasScheme { at } => write!(
                f,
                "a pattern holds no `://`, leave out the scheme that ends at byte {at}: the \
                 subsystem's name gives it"
            ),
            Self::HasQuery { at } => {
                write!(
                    f,
                    "a pattern holds no query, leave out the `?` at byte {at}"
                )
            }
            Self::EmptySegment { at } => {
                write!(f, "the segment at byte {at} is empty, remove a `/`")
            }
            Self::BadEscape { at } => write!(
                f,
                "the `%` at byte {at} needs two hex digits after it, write a plain `%` as `%25`"
            ),
            Self::NotUtf8 { at } => {
                write!(
                    f,
                    "the segment at byte {at} is not UTF-8 once its escapes are decoded"
                )
            }
            Self::BadByte { at } => write!(
                f,
                "the byte at {at} is not allowed in a pattern, escape control characters and \
                 `#` as `%` and two hex digits"
            ),
            Self::PartialCapture { at } => write!(
                f,
                "a capture must be a whole segment, put a `/` around the braces at byte {at}"
            ),
            Self::UnclosedCapture { at } => {
                write!(f, "the `{{` at byte {at} has no `}}` in its segment")
            }
            Self::BadCaptureName { at } => write!(
                f,
                "the capture at byte {at} needs an identifier as its name, like `{{id}}` or \
                 `{{*rest}}`"
            ),
            Self::DuplicateCapture { at } => {
                write!(
                    f,
                    "the capture at byte {at} has the name of an earlier one, rename it"
                )
            }
            Self::RestNotLast { at } => write!(
                f,
                "the rest capture at byte {at} takes all that is left, make it the last segment"
            ),
            Self::TooManyCaptures { at } => write!(
                f,
                "the capture at byte {at} is one too many, at most {MAX_CAPTURES} are allowed"
            ),
            Self::TooManySegments { at } => write!(
                f,
                "the segment at byte {at} is one too many, at most {MAX_SEGMENTS} are allowed"
            ),
        }
    }
}

impl Error for PatternError {}

/// One segment of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// `users`: matches a segment that decodes to this text. Holds the decoded text.
    Literal(String),
    /// `{id}`: matches any one segment. Holds its name.
    Capture(String),
    /// `{*rest}`: matches one or more segments up to the end. Holds its name.
    Rest(String),
}

impl Segment {
    /// Returns the name of a capture, `{*rest}` included; none for a literal.
    pub fn capture_name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Capture(name) | Self::Rest(name) => Some(name),
        }
    }
}

/// The pattern of the paths that one route accepts.
///
/// The empty pattern matches the root. Two patterns are equal if their segments are, however their literals are
/// escaped.
///
/// # Examples
/// ```
/// use mycelia_core::{Pattern, Segment};
///
/// let pattern = Pattern::parse("users/{id}/{*rest}")?;
/// assert_eq!(pattern.segments()[0], Segment::Literal("users".into()));
/// assert_eq!(pattern.capture_names().collect::<Vec<_>>(), ["id", "rest"]);
/// assert!(pattern.same_shape(&"users/{user}/{*tail}".parse()?));
/// # Ok::<(), mycelia_core::PatternError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

impl Pattern {
    /// Parses the text of a pattern.
    ///
    /// # Errors
    /// Returns a violation of the grammar with its position, as a [`PatternError`].
    ///
    /// # Examples
    /// ```
    /// use mycelia_core::{Pattern, PatternError};
    ///
    /// assert!(Pattern::parse("").is_ok());
    /// let error = Pattern::parse("files/{*rest}/edit").unwrap_err();
    /// assert_eq!(error, PatternError::RestNotLast { at: 6 });
    /// ```
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATH_LEN {
            return Err(PatternError::TooLong { len: text.len() });
        }
        if let Some(at) = text.find("://") {
            return Err(PatternError::HasScheme { at });
        }
        if let Some(at) = text.find('?') {
            return Err(PatternError::HasQuery { at });
        }
        let mut segments: Vec<Segment> = Vec::new();
        let mut captures = 0;
        let mut rest_at = None;
        let mut at = 0;
        let pieces = (!text.is_empty()).then(|| text.split('/'));
        for piece in pieces.into_iter().flatten() {
            if let Some(at) = rest_at {
                return Err(PatternError::RestNotLast { at });
            }
            if segments.len() == MAX_SEGMENTS {
                return Err(PatternError::TooManySegments { at });
            }
            let segment = parse_segment(piece, at)?;
            if let Some(name) = segment.capture_name() {
                if segments
                    .iter()
                    .any(|earlier| earlier.capture_name() == Some(name))
                {
                    return Err(PatternError::DuplicateCapture { at });
                }
                captures += 1;
                if captures > MAX_CAPTURES {
                    return Err(PatternError::TooManyCaptures { at });
                }
            }
            if matches!(segment, Segment::Rest(_)) {
                rest_at = Some(at);
            }
            segments.push(segment);
            at += piece.len() + 1;
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }

    /// Returns the text as it was parsed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the segments in order; none for the root.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the number of captures, at most [`MAX_CAPTURES`].
    pub fn capture_count(&self) -> usize {
        self.capture_names().count()
    }

    /// Returns the names of the captures from left to right.
    pub fn capture_names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::capture_name)
    }

    /// Whether both match the same paths: equal up to the names of captures.
    ///
    /// # Examples
    /// ```
    /// use mycelia_core::Pattern;
    ///
    /// let by_id = Pattern::parse("users/{id}")?;
    /// assert!(by_id.same_shape(&Pattern::parse("users/{name}")?));
    /// assert!(!by_id.same_shape(&Pattern::parse("users/{*rest}")?));
    /// # Ok::<(), mycelia_core::PatternError>(())
    /// ```
    pub fn same_shape(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|pair| match pair {
                    (Segment::Literal(one), Segment::Literal(two)) => one == two,
                    (Segment::Capture(_), Segment::Capture(_)) => true,
                    (Segment::Rest(_), Segment::Rest(_)) => true,
                    _ => false,
                })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.segments == other.segments
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.segments.hash(state);
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

fn parse_segment(piece: &str, at: usize) -> Result<Segment, PatternError> {
    if piece.is_empty() {
        return Err(PatternError::EmptySegment { at });
    }
    match piece.find(['{', '}']) {
        Some(brace) => parse_capture(piece, at, brace),
        None => parse_literal(piece, at),
    }
}

fn parse_capture(piece: &str, at: usize, brace: usize) -> Result<Segment, PatternError> {
    let Some(inner) = piece.strip_prefix('{') else {
        return Err(PatternError::PartialCapture { at: at + brace });
    };
    let Some(close) = inner.find('}') else {
        return Err(PatternError::UnclosedCapture { at });
    };
    let (name, after) = (&inner[..close], &inner[close + 1..]);
    let (name, kind): (_, fn(String) -> Segment) = match name.strip_prefix('*') {
        Some(name) => (name, Segment::Rest),
        None => (name, Segment::Capture),
    };
    if !is_identifier(name) {
        return Err(PatternError::BadCaptureName { at });
    }
    if !after.is_empty() {
        return Err(PatternError::PartialCapture { at });
    }
    Ok(kind(name.to_owned()))
}

fn is_identifier(name: &str) -> bool {
    name != "_"
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn parse_literal(piece: &str, at: usize) -> Result<Segment, PatternError> {
    let bytes = piece.as_bytes();
    for (offset, &byte) in bytes.iter().enumerate() {
        let at = at + offset;
        if text::is_forbidden(byte) {
            return Err(PatternError::BadByte { at });
        }
        if byte == b'%' && text::escape_at(bytes, offset).is_none() {
            return Err(PatternError::BadEscape { at });
        }
    }
    if !text::decodes_to_utf8(piece) {
        return Err(PatternError::NotUtf8 { at });
    }
    Ok(Segment::Literal(text::decode(piece).into_owned()))
}
