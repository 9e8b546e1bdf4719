//! Recording: writes every accepted message to a file, as a line of JSON.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use mycelia::__test::clock;
use mycelia::{Message, System};

use crate::fit;
use crate::tap::KitTap;
use crate::tape::{MessageKind, Tape, Taped};

/// The version of the format, in the first line of a file.
pub(crate) const VERSION: u64 = 1;

/// Builds a recording: which messages to record, and to which file.
///
/// The first line of the file is `{"mycelia_record":1,"system":"…"}`. Every other line is an accepted message:
/// `{"seq":0,"at_ns":1200,"path":"billing://charge/7","from":null,"priority":2,"type":"charge","message":…}`. The
/// lines have the order in which messages were accepted; for each subsystem, that is the order in its mailbox.
/// `at_ns` is the time since the start, by the system's clock. `from` is the subsystem that sent it. `priority`
/// is 0 for control to 3 for low.
///
/// During a recording only one message is sent at a time. So an [`Extractor`](mycelia::extract::Extractor) of
/// your own, or a `FromStr` of a capture, must not send while it reads the path.
///
/// # Examples
/// ```
/// use mycelia::prelude::*;
/// use mycelia_test::{Recorder, Replay};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Message, Serialize, Deserialize)]
/// struct Add(u64);
/// # #[derive(Subsystem, Default)] struct Counter;
/// # #[routes] impl Counter { #[route("sum")] fn add(&mut self, _: Add) {} }
///
/// # #[mycelia::main]
/// # async fn main() -> anyhow::Result<()> {
/// let file = std::env::temp_dir().join(format!("mycelia-recorder-{}", std::process::id()));
/// let system = System::builder().start().await?;
/// system.mount(Counter::default).await?;
/// let recording = Recorder::new(&file).message::<Add>("add").start(&system)?;
/// system.tell("counter://sum", Add(3)).await?;
/// assert_eq!(recording.stop()?.messages, 1);
///
/// let replayed = Replay::open(&file)?.message::<Add>("add").run(&system).await?;
/// assert_eq!(replayed.sent, 1);
/// # std::fs::remove_file(file)?;
/// # system.stop().await?;
/// # Ok(()) }
/// ```
#[must_use = "nothing is recorded before `start`"]
pub struct Recorder {
    file: PathBuf,
    kinds: HashMap<TypeId, MessageKind>,
    twice: Option<Box<str>>,
}

/// A recording under way. It ends with [`stop`](Self::stop), or when this value is dropped, which ignores errors.
#[must_use = "it ends when this is dropped"]
pub struct Recording {
    file: PathBuf,
    tap: Arc<KitTap>,
    tape: Arc<Tape>,
}

/// Why a recording could not be made, or is not complete.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecordError {
    /// The file could not be made or written, or a message could not be written in a form that can be read back.
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: io::Error,
    },
    /// Two types have the same tag, or one type has two tags.
    Twice {
        /// The second tag.
        tag: Box<str>,
    },
    /// The system is being recorded already.
    Recording,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::File { file, error } => {
                write!(f, "the recording `{}` failed: {error}", file.display())
            }
            RecordError::Twice { tag } => write!(
                f,
                "the tag `{tag}` is another type's, or its type has another; give each type one of its own"
            ),
            RecordError::Recording => {
                write!(f, "the system is being recorded already; stop that first")
            }
        }
    }
}

impl std::error::Error for RecordError {}

fn json<M: Serialize + 'static>(message: &dyn Any) -> serde_json::Result<String> {
    fit::json(&message.downcast_ref::<M>())
}

impl Recorder {
    /// Makes a recorder that writes to `file`, and replaces it if it exists.
    pub fn new(file: impl AsRef<Path>) -> Self {
        Recorder {
            file: file.as_ref().into(),
            kinds: HashMap::new(),
            twice: None,
        }
    }

    /// Records messages of type `M`, with the tag `tag` in the file. Messages of other types are only counted.
    pub fn message<M: Message + Serialize>(mut self, tag: &str) -> Self {
        let known = self.kinds.values().any(|kind| *kind.tag == *tag);
        match self.kinds.entry(TypeId::of::<M>()) {
            Entry::Vacant(entry) if !known => {
                entry.insert(MessageKind {
                    tag: tag.into(),
                    json: json::<M>,
                });
            }
            _ => self.twice = Some(tag.into()),
        }
        self
    }

    /// Starts to record the messages that this system accepts.
    ///
    /// # Errors
    /// If the file can't be made, a tag is used twice, or the system is being recorded already.
    pub fn start(self, system: &System) -> Result<Recording, RecordError> {
        if let Some(tag) = self.twice {
            return Err(RecordError::Twice { tag });
        }
        let tap = KitTap::of(system);
        if tap.tape().is_some() {
            return Err(RecordError::Recording);
        }
        let out = match begin(&self.file, system.name()) {
            Ok(out) => out,
            Err(error) => {
                let file = self.file;
                return Err(RecordError::File { file, error });
            }
        };
        let tape = Arc::new(Tape::new(self.kinds, clock(system), Box::new(out)));
        if !tap.insert(&tape) {
            return Err(RecordError::Recording);
        }
        Ok(Recording {
            file: self.file,
            tap,
            tape,
        })
    }
}

fn begin(file: &Path, system: &str) -> io::Result<BufWriter<File>> {
    let mut out = BufWriter::new(File::create(file)?);
    let name = serde_json::to_string(system)?;
    writeln!(out, r#"{{"mycelia_record":{VERSION},"system":{name}}}"#)?;
    Ok(out)
}

impl Recording {
    /// Ends the recording and flushes the file.
    ///
    /// # Errors
    /// If the file or a message could not be written, which the error names; the file is not complete then. A
    /// message can't be written if its own `Serialize` fails, if it has a float that is infinite or NaN, or if it
    /// is nested too deeply to be read back.
    pub fn stop(self) -> Result<Taped, RecordError> {
        self.tap.eject(&self.tape);
        self.tape.finish().map_err(|error| RecordError::File {
            file: self.file.clone(),
            error,
        })
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.tap.eject(&self.tape);
        // After `stop` there is nothing left to write.
        let _ = self.tape.finish();
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("file", &self.file)
            .field("tape", &self.tape)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags = self.kinds.values().map(|kind| &kind.tag);
        f.debug_struct("Recorder")
            .field("file", &self.file)
            .field("tags", &tags.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
