//! The tape of a recording: one line per accepted message.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Write};

use mycelia::__test::Outgoing;
use mycelia::schedule::Priority;
use mycelia::time::{Clock, Stamp};

use crate::sync::{Mutex, lock};

/// How messages of one type are written to the file.
pub(crate) struct MessageKind {
    pub(crate) tag: Box<str>,
    pub(crate) json: fn(&dyn Any) -> serde_json::Result<String>,
}

/// See the module.
pub(crate) struct Tape {
    kinds: HashMap<TypeId, MessageKind>,
    clock: Clock,
    started: Stamp,
    written: Mutex<Written>,
}

/// The parts of a line that are known before the message is sent.
pub(crate) struct Line {
    path: String,
    from: Option<String>,
    priority: Priority,
    tag: Box<str>,
    json: String,
}

struct Written {
    out: Option<Box<dyn Write + Send>>,
    messages: u64,
    /// How many messages of other types were not recorded, by type.
    skipped: BTreeMap<&'static str, u64>,
    failed: Option<io::Error>,
}

/// The result of a recording.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taped {
    /// How many messages were recorded.
    pub messages: u64,
    /// How many accepted messages were not recorded, because the recorder was not given their types; by type.
    pub skipped: BTreeMap<&'static str, u64>,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = lock(&self.written).messages;
        f.debug_struct("Tape").field("messages", &messages).finish()
    }
}

impl Tape {
    pub(crate) fn new(
        kinds: HashMap<TypeId, MessageKind>,
        clock: Clock,
        out: Box<dyn Write + Send>,
    ) -> Self {
        Tape {
            kinds,
            started: clock.now(),
            clock,
            written: Mutex::new(Written {
                out: Some(out),
                messages: 0,
                skipped: BTreeMap::new(),
                failed: None,
            }),
        }
    }

    /// Makes the line of a message; `None` for a type that is not recorded.
    pub(crate) fn line(
        &self,
        message: &Outgoing<'_>,
        path: impl FnOnce() -> String,
    ) -> Option<serde_json::Result<Line>> {
        let kind = self.kinds.get(&message.message.type_id())?;
        Some((kind.json)(message.message).map(|json| Line {
            path: path(),
            from: message.sender.as_deref().map(str::to_owned),
            priority: message.priority,
            tag: kind.tag.clone(),
            json,
        }))
    }

    /// Writes a line, because its message was accepted.
    pub(crate) fn keep(&self, name: &'static str, line: Option<serde_json::Result<Line>>) {
        let written = &mut *lock(&self.written);
        let Some(out) = &mut written.out else {
            return;
        };
        let line = match line {
            None => return *written.skipped.entry(name).or_default() += 1,
            Some(Ok(line)) => line,
            Some(Err(error)) => {
                let error = io::Error::other(format!("a `{name}` can't be written: {error}"));
                written.failed.get_or_insert(error);
                return;
            }
        };
        let at_ns = self.clock.between_ns(self.started, self.clock.now());
        let sequence = written.messages;
        match write_line(out, sequence, at_ns, &line) {
            Ok(()) => written.messages += 1,
            Err(error) => {
                written.failed.get_or_insert(error);
            }
        }
    }

    /// Flushes the file. Lines that come later are ignored.
    pub(crate) fn finish(&self) -> io::Result<Taped> {
        let mut written = lock(&self.written);
        let flushed = written.out.take().map_or(Ok(()), |mut out| out.flush());
        if let Some(error) = written.failed.take() {
            return Err(error);
        }
        flushed?;
        Ok(Taped {
            messages: written.messages,
            skipped: written.skipped.clone(),
        })
    }
}

fn write_line(out: &mut dyn Write, sequence: u64, at_ns: u64, line: &Line) -> io::Result<()> {
    let path = serde_json::to_string(&line.path)?;
    let from = serde_json::to_string(&line.from)?;
    let tag = serde_json::to_string(&line.tag)?;
    let priority = line.priority as u8;
    let json = &line.json;
    writeln!(
        out,
        r#"{{"seq":{sequence},"at_ns":{at_ns},"path":{path},"from":{from},"priority":{priority},"type":{tag},"message":{json}}}"#
    )
}
