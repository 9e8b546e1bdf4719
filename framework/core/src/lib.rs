//! The grammar of mycelia: paths, patterns, and which pattern matches a path.
//!
//! The macros read patterns at compile time, and the runtime reads paths at run time. Both use this crate, so
//! they cannot disagree. It has no dependencies and no unsafe code.
//!
//! # Layout
//! - `text`: the alphabet, the limits and the percent escapes
//! - `path`: [`PathRef`], a borrowed `name://seg/seg?query`
//! - `pattern`: [`Pattern`], an owned `users/{id}/{*rest}`
//! - `captures`: [`Captures`], the parts of a path that a pattern captures
//! - `literals`: the literal children of a node of the router
//! - `router`: [`Router`], the trie that finds the pattern of a path

#![forbid(unsafe_code)]

// In the order in which they import each other; `reorder_modules` is off for it.
mod text;

mod path;

mod pattern;

mod captures;

mod literals;

mod router;

pub use captures::{Captures, Spans};
pub use path::{MAX_FULL_NAME_LEN, MAX_NAME_LEN, PathError, PathRef, Segments, check_name};
pub use pattern::{MAX_CAPTURES, Pattern, PatternError, Segment};
pub use router::{Ambiguous, Match, Router};
pub use text::{MAX_PATH_LEN, MAX_SEGMENTS, decode, encode};
