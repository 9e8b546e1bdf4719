//! Replaying: what was recorded is sent again.

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

/// A recording to be sent again: made by [`Recorder`](crate::Recorder), opened with [`open`](Self::open).
///
/// Messages are sent in the recorded order, each as soon as the one before is accepted, by `tell`: a reply
/// that was wanted is not. What subsystems sent is left out, since their handlers send it again; to try
/// one subsystem alone, give [`only`](Self::only) its paths, and [`inner`](Self::inner).
#[must_use = "nothing is replayed before `run`"]
pub struct Replay {
    file: PathBuf,
    lines: Vec<ReplayLine>,
    kinds: HashMap<Box<str>, Decode>,
    only: Vec<PathPattern>,
    inner: bool,
    gaps: bool,
}

/// What a replay came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// Messages that were sent, and accepted.
    pub sent: u64,
    /// Messages that were left out: sent by subsystems, or to other paths.
    pub left_out: u64,
    /// Messages that were refused: the line of the file, counted from 1, and why.
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
    /// The first line is not that of a recording of this version.
    BadHeader {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: Box<str>,
    },
    /// A line is not what it should be, or its message is not of the type that its tag stands for.
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

/// A line, but for its message.
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

/// A message that is ready to be sent.
type ReadySend = Box<dyn FnOnce(System) -> ReplaySend + Send>;
type ReplaySend = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>;
type Decode = fn(&ReplayLine) -> serde_json::Result<ReadySend>;

fn decode<M: Message + DeserializeOwned>(line: &ReplayLine) -> serde_json::Result<ReadySend> {
    let Tail::<M> { message } = serde_json::from_str(&line.text)?;
    let (path, priority) = (line.head.path.clone(), line.head.priority);
    // A future of a shared reference to the message would need it to be `Sync`.
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
    /// The file can't be read, or a line of it is not one of a recording.
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

    /// Messages with the tag `tag` are of type `M`.
    pub fn message<M: Message + DeserializeOwned>(mut self, tag: &str) -> Self {
        self.kinds.insert(tag.into(), decode::<M>);
        self
    }

    /// Sends only what went to such paths, or to those of another such call.
    ///
    /// # Errors
    /// The pattern is none.
    pub fn only(mut self, pattern: &str) -> Result<Self, BadPattern> {
        self.only.push(PathPattern::parse(pattern)?);
        Ok(self)
    }

    /// Sends also what subsystems sent.
    pub fn inner(mut self) -> Self {
        self.inner = true;
        self
    }

    /// Leaves as much time between two messages as there was, of the executor's clock.
    pub fn with_gaps(mut self) -> Self {
        self.gaps = true;
        self
    }

    /// Sends the messages to that system. They may still wait in their mailboxes when it ends.
    ///
    /// # Errors
    /// A message that is not of the type that its tag stands for, or a tag without a type: nothing was sent
    /// then. What the system refuses is no error here, but in the report.
    ///
    /// # Panics
    /// With gaps, outside of a tokio executor.
    ///
    /// # Cancel safety
    /// Dropped before its end, a part of the messages was sent.
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

/// What is wrong with the first line, if anything is.
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
