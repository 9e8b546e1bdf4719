//! Taps: where the test kit gets at messages on their path. `send → `**`taps`**` → route, host`
//!
//! `runtime/taps_off.rs` is its stand-in without the feature `test`. A sender looks here whether faults are set or a recording runs:
//! two loads while neither is. What a fault does to a message is decided at the sender, who knows the
//! whole path, and written on the envelope as a mark; the host carries it out.

mod given;
mod pattern;
mod faults;
mod tape;

use std::borrow::Cow;
use std::sync::Arc;

use mycelia_core::{Pattern, Segment, encode};

pub(crate) use faults::Planned;
pub use faults::{Fault, Faults, Injected};
pub(crate) use given::Given;
pub use pattern::BadPattern;
pub(crate) use pattern::PathPattern;
pub use tape::Taped;
pub(crate) use tape::{Line, MessageKind, Tape};

use crate::base::sync::{AtomicU8, Mutex, Ordering, lock};

/// The taps of a system.
#[derive(Debug)]
pub(crate) struct Taps {
    pub(crate) faults: Faults,
    tape: Mutex<Option<Arc<Tape>>>,
    /// 1 while there is a tape.
    records: AtomicU8,
}

impl Taps {
    /// With these faults; else with none, and what happens by chance follows from `seed`.
    pub(crate) fn new(faults: Option<Faults>, seed: u64) -> Self {
        Taps {
            faults: faults.unwrap_or_else(|| Faults::with_seed(seed)),
            tape: Mutex::new(None),
            records: AtomicU8::new(0),
        }
    }

    /// What is recorded on, if anything is.
    #[inline]
    pub(crate) fn tape(&self) -> Option<Arc<Tape>> {
        if self.records.load(Ordering::Relaxed) == 0 {
            return None;
        }
        lock(&self.tape).clone()
    }

    /// Records from now on; false if that is done already.
    pub(crate) fn insert(&self, tape: &Arc<Tape>) -> bool {
        let mut held = lock(&self.tape);
        if held.is_some() {
            return false;
        }
        *held = Some(tape.clone());
        self.records.store(1, Ordering::Relaxed);
        true
    }

    /// Records no more on that tape.
    pub(crate) fn eject(&self, tape: &Arc<Tape>) {
        let mut held = lock(&self.tape);
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, tape)) {
            *held = None;
            self.records.store(0, Ordering::Relaxed);
        }
    }
}

/// A path that leads to `pattern` with these captures, as it is written; one that is lacking stays as in
/// the pattern.
pub(crate) fn write_path(
    name: &str,
    pattern: &Pattern,
    captures: &[Given],
    query: Option<&str>,
) -> String {
    let mut given = captures.iter();
    let segments: Vec<String> = (pattern.segments().iter())
        .map(|segment| match segment {
            Segment::Literal(literal) => encode(literal).into_owned(),
            Segment::Capture(name) | Segment::Rest(name) => match given.next() {
                Some(Given::Written(text)) => text.to_string(),
                Some(Given::Value(text)) if matches!(segment, Segment::Rest(_)) => {
                    let parts: Vec<Cow<'_, str>> = text.split('/').map(encode).collect();
                    parts.join("/")
                }
                Some(Given::Value(text)) => encode(text).into_owned(),
                None => format!("%7B{name}%7D"),
            },
        })
        .collect();
    let mut path = format!("{name}://{}", segments.join("/"));
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_so_that_it_means_the_same() {
        let pattern = Pattern::parse("a%20b/{id}/{*rest}").unwrap();
        let given = [Given::Value("x/y".into()), Given::Value("p/q r?".into())];
        let path = write_path("files", &pattern, &given, Some("k=1"));
        assert_eq!(path, "files://a b/x%2Fy/p/q r%3F?k=1");
        let given = [Given::Written("x%2Fy".into())];
        let path = write_path("files", &pattern, &given, None);
        assert_eq!(path, "files://a b/x%2Fy/%7Brest%7D");
        assert!(mycelia_core::PathRef::parse(&path).is_ok());
    }
}
