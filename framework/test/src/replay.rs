//! Replaying: sends the messages of a recording again.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::Instant;

use mycelia::error::SendError;
use mycelia::schedule::Priority;
use mycelia::{Message, System};

use crate::pattern::{BadPattern, PathPattern};
use crate::record::VERSION;

/// A recording to replay: made by [`Recorder`](crate::Recorder), opened with [`open`](Self::open).
///
/// Messages are sent in the recorded order with `tell`, each as soon as the one before is accepted. Replies are
/// not collected. Messages that subsystems sent are left out, since their handlers send them again. To test one
/// subsystem alone, use [`only`](Self::only) with its paths, and [`inner`](Self::inner).
#[must_use = "nothing is replayed before `run`"]
pub struct Replay {
    file: PathBuf,
    lines: Vec<ReplayLine>,
    kinds: HashMap<Box<str>, Decode>,
    only: Vec<PathPattern>,
    inner: bool,
    gaps: bool,
}

/// The result of a replay.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// Messages that were sent, and accepted.
    pub sent: u64,
    /// Messages that were left out, because subsystems had sent them or [`only`](Replay::only) excludes their
    /// paths.
    pub left_out: u64,
    /// Messages that were refused: the line in the file, counted from 1, and the reason.
    pub refused: Vec<(usize, SendError)>,
}

/// Why a recording can't be replayed. Nothing was sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file can't be read.
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// The first line is not the header of a recording of this version.
    BadHeader {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: Box<str>,
    },
    /// A line is malformed, or its message does not have the type of its tag.
    BadLine {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// No type was given for a tag.
    UnknownType {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The tag.
        tag: Box<str>,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::File { file, error } => {
                write!(
                    f,
                    "the recording `{}` can't be read: {error}",
                    file.display()
                )
            }
            ReplayError::BadHeader { file, error } => {
                write!(
                    f,
                    "`{}` is no recording to be replayed here: {error}",
                    file.display()
                )
            }
            ReplayError::BadLine { file, line, error } => {
                write!(f, "`{}`, line {line}: {error}", file.display())
            }
            ReplayError::UnknownType { file, line, tag } => write!(
                f,
                "`{}`, line {line}: a message of the type `{tag}`; say which that is with `message::<Type>(\"{tag}\")`",
                file.display()
            ),
        }
    }
}

impl std::error::Error for ReplayError {}

#[derive(Deserialize)]
struct Header {
    mycelia_record: u64,
}

/// A line without its message.
#[derive(Deserialize)]
struct RecordHead {
    at_ns: u64,
    path: String,
    from: Option<String>,
    priority: u8,
    #[serde(rename = "type")]
    tag: Box<str>,
    #[serde(rename = "message")]
    _message: IgnoredAny,
}

/// The message of a line.
#[derive(Deserialize)]
#[serde(bound = "M: DeserializeOwned")]
struct Tail<M> {
    message: M,
}

struct ReplayLine {
    number: usize,
    head: RecordHead,
    text: String,
}

/// Sends a decoded message.
type ReadySend = Box<dyn FnOnce(System) -> ReplaySend + Send>;
type ReplaySend = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>;
type Decode = fn(&ReplayLine) -> serde_json::Result<ReadySend>;

fn decode<M: Message + DeserializeOwned>(line: &ReplayLine) -> serde_json::Result<ReadySend> {
    let Tail::<M> { message } = serde_json::from_str(&line.text)?;
    let (path, priority) = (line.head.path.clone(), line.head.priority);
    // Without the wrapper, a future that holds a reference to the message would need it to be `Sync`.
    let message = sync_wrapper::SyncWrapper::new(message);
    Ok(Box::new(move |system| {
        Box::pin(async move {
            let route = system.route::<M>(&path)?;
            let priority = Priority::ALL.get(usize::from(priority));
            let route = route.with_priority(priority.copied().unwrap_or(M::PRIORITY));
            let sent = route.tell(message.into_inner()).await;
            sent.map_err(|undelivered| undelivered.into_reason())
        })
    }))
}

impl Replay {
    /// Reads a recording.
    ///
    /// # Errors
    /// If the file can't be read, or a line is malformed.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, ReplayError> {
        let file = file.as_ref().to_path_buf();
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => return Err(ReplayError::File { file, error }),
        };
        let mut lines = text.lines();
        if let Some(error) = bad_header(lines.next().unwrap_or_default()) {
            return Err(ReplayError::BadHeader { file, error });
        }
        let read = |(at, text): (usize, &str)| {
            let number = at + 2;
            match serde_json::from_str(text) {
                Ok(head) => Ok(ReplayLine {
                    number,
                    head,
                    text: text.into(),
                }),
                Err(error) => Err(ReplayError::BadLine {
                    file: file.clone(),
                    line: number,
                    error,
                }),
            }
        };
        Ok(Replay {
            lines: lines.enumerate().map(read).collect::<Result<_, _>>()?,
            file,
            kinds: HashMap::new(),
            only: Vec::new(),
            inner: false,
            gaps: false,
        })
    }

    /// Sets `M` as the type of messages with the tag `tag`.
    pub fn message<M: Message + DeserializeOwned>(mut self, tag: &str) -> Self {
        self.kinds.insert(tag.into(), decode::<M>);
        self
    }

    /// Sends only messages to matching paths. Several calls add up.
    ///
    /// # Errors
    /// If the pattern is invalid.
    pub fn only(mut self, pattern: &str) -> Result<Self, BadPattern> {
        self.only.push(PathPattern::parse(pattern)?);
        Ok(self)
    }

    /// Also sends messages that subsystems sent.
    pub fn inner(mut self) -> Self {
        self.inner = true;
        self
    }

    /// Keeps the recorded time between messages, by the executor's clock.
    pub fn with_gaps(mut self) -> Self {
        self.gaps = true;
        self
    }

    /// Sends the messages to a system. They may still wait in their mailboxes when it returns.
    ///
    /// # Errors
    /// If a message does not have the type of its tag, or a tag has no type; nothing was sent then. Refusals by
    /// the system are not errors; they are in the result.
    ///
    /// # Panics
    /// With gaps, outside of a tokio executor.
    ///
    /// # Cancel safety
    /// If the future is dropped, some of the messages were sent.
    pub async fn run(self, system: &System) -> Result<Replayed, ReplayError> {
        let mut replayed = Replayed::default();
        let mut ready = Vec::new();
        for line in &self.lines {
            let is_meant = self.only.is_empty()
                || (self.only.iter()).any(|pattern| pattern.matches(&line.head.path));
            if !is_meant || line.head.from.is_some() && !self.inner {
                replayed.left_out += 1;
                continue;
            }
            ready.push((line.number, line.head.at_ns, self.decode(line)?));
        }
        let begun = self.gaps.then(Instant::now);
        for (number, at_ns, send) in ready {
            if let Some(begun) = begun {
                tokio::time::sleep_until(begun + Duration::from_nanos(at_ns)).await;
            }
            match send(system.clone()).await {
                Ok(()) => replayed.sent += 1,
                Err(error) => replayed.refused.push((number, error)),
            }
        }
        Ok(replayed)
    }

    fn decode(&self, line: &ReplayLine) -> Result<ReadySend, ReplayError> {
        let Some(decode) = self.kinds.get(&line.head.tag) else {
            return Err(ReplayError::UnknownType {
                file: self.file.clone(),
                line: line.number,
                tag: line.head.tag.clone(),
            });
        };
        decode(line).map_err(|error| ReplayError::BadLine {
            file: self.file.clone(),
            line: line.number,
            error,
        })
    }
}

/// Returns what is wrong with the first line, if anything is.
fn bad_header(line: &str) -> Option<Box<str>> {
    match serde_json::from_str(line) {
        Ok(Header {
            mycelia_record: VERSION,
        }) => None,
        Ok(Header { mycelia_record }) => Some(
            format!("it is of version {mycelia_record}, and this is made for {VERSION}").into(),
        ),
        Err(error) => Some(format!("line 1: {error}").into()),
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("file", &self.file)
            .field("lines", &self.lines.len())
            .finish_non_exhaustive()
    }
}
