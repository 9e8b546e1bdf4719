//! Startup: tells the one who mounts subsystems that all of them have started, or which failed.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::base::sync::{Mutex, lock};
use crate::directory::demand::StartOutcome;
use crate::directory::{Directory, Mounted};
use crate::mailbox::MailboxId;
use crate::runtime::deadlock::Starting;

/// Why not all stand.
pub(crate) enum StartupError {
    /// One failed at its start.
    Failed {
        /// Its name.
        name: Arc<str>,
        text: Box<str>,
    },
    /// One was ended before it stood, or its thread has gone.
    Lost,
}

/// The word of one host on how its start went; nothing once it is given. Dropped without a word, the host
/// is lost.
pub(crate) struct Startup(Option<Word>);

enum Word {
    Among(Arc<Among>),
    Alone(Alone),
}

/// One that is mounted on demand: the registry hears of it alone.
struct Alone {
    directory: Arc<Directory>,
    mailbox: MailboxId,
    number: u64,
}

impl Alone {
    fn tell(self, how: Result<(), Option<Box<str>>>) {
        self.directory.demand.tell(StartOutcome {
            mailbox: self.mailbox,
            number: self.number,
            how,
        });
    }
}

struct Among {
    /// Those that do not stand yet, if a handler waits for them.
    starting: Option<Arc<Starting>>,
    fallen: Mutex<Option<StartupError>>,
    tell: Mutex<Option<oneshot::Sender<Result<(), StartupError>>>>,
}

impl Drop for Among {
    fn drop(&mut self) {
        let fallen = lock(&self.fallen).take();
        if let Some(tell) = lock(&self.tell).take() {
            let _ = tell.send(fallen.map_or(Ok(()), Err));
        }
    }
}

/// What hears how the start went once the last host has told, and the word of the first of them, to be
/// made more of by [`Startup::another`].
pub(crate) fn startup(
    starting: Option<Arc<Starting>>,
) -> (Startup, oneshot::Receiver<Result<(), StartupError>>) {
    let (tell, told) = oneshot::channel();
    let among = Arc::new(Among {
        starting,
        fallen: Mutex::new(None),
        tell: Mutex::new(Some(tell)),
    });
    (Startup(Some(Word::Among(among))), told)
}

impl Startup {
    /// The word of one host more.
    pub(crate) fn another(&self) -> Startup {
        match &self.0 {
            Some(Word::Among(among)) => Startup(Some(Word::Among(among.clone()))),
            Some(Word::Alone(_)) | None => Startup(None),
        }
    }

    /// The word of one that is mounted on demand, for the registry.
    pub(crate) fn alone(directory: &Arc<Directory>, mounted: &Mounted) -> Startup {
        Startup(Some(Word::Alone(Alone {
            directory: directory.clone(),
            mailbox: mounted.mailbox.id,
            number: mounted.number,
        })))
    }

    /// The subsystem with that mailbox stands.
    pub(crate) fn tell_of(self, mailbox: MailboxId) {
        if let Some(Word::Among(among)) = &self.0
            && let Some(starting) = &among.starting
        {
            starting.stands(mailbox);
        }
        self.tell();
    }

    /// All stand that this word is about.
    pub(crate) fn tell(mut self) {
        if let Some(Word::Alone(alone)) = self.0.take() {
            alone.tell(Ok(()));
        }
    }

    /// It does not, for this reason.
    pub(crate) fn tell_failure(mut self, name: Arc<str>, text: Box<str>) {
        match self.0.take() {
            Some(Word::Among(among)) => {
                lock(&among.fallen).get_or_insert(StartupError::Failed { name, text });
            }
            Some(Word::Alone(alone)) => alone.tell(Err(Some(text))),
            None => {}
        }
    }
}

impl Drop for Startup {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Word::Among(among)) => {
                lock(&among.fallen).get_or_insert(StartupError::Lost);
            }
            Some(Word::Alone(alone)) => alone.tell(Err(None)),
            None => {}
        }
    }
}
