//! Startup: tells the one who mounts subsystems that all of them have started, or which failed.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::base::sync::{Mutex, lock};
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
pub(crate) struct Startup(Option<Arc<Among>>);

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
    (Startup(Some(among)), told)
}

impl Startup {
    /// The word of one host more.
    pub(crate) fn another(&self) -> Startup {
        Startup(self.0.clone())
    }

    /// The subsystem with that mailbox stands.
    pub(crate) fn tell_of(self, mailbox: MailboxId) {
        if let Some(starting) = self.0.as_ref().and_then(|among| among.starting.as_ref()) {
            starting.stands(mailbox);
        }
        self.tell();
    }

    /// All stand that this word is about.
    pub(crate) fn tell(mut self) {
        self.0 = None;
    }

    /// It does not, for this reason.
    pub(crate) fn tell_failure(mut self, name: Arc<str>, text: Box<str>) {
        if let Some(among) = self.0.take() {
            lock(&among.fallen).get_or_insert(StartupError::Failed { name, text });
        }
    }
}

impl Drop for Startup {
    fn drop(&mut self) {
        if let Some(among) = &self.0 {
            lock(&among.fallen).get_or_insert(StartupError::Lost);
        }
    }
}
