//! How whoever mounts subsystems hears that their hosts stand: all of them, or which failed.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::sync::{Mutex, lock};

/// Why not all stand.
pub(crate) enum Fallen {
    /// One failed at its start, with this text.
    Failed(Box<str>),
    /// One was ended before it stood, or its thread has gone.
    Lost,
}

/// The word of one host on how its start went. Dropped without a word, the host is lost.
pub(crate) struct Standing {
    among: Arc<Among>,
    has_told: bool,
}

struct Among {
    fallen: Mutex<Option<Fallen>>,
    tell: Mutex<Option<oneshot::Sender<Result<(), Fallen>>>>,
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
/// made more of by [`Standing::another`].
pub(crate) fn standing() -> (Standing, oneshot::Receiver<Result<(), Fallen>>) {
    let (tell, told) = oneshot::channel();
    let among = Arc::new(Among {
        fallen: Mutex::new(None),
        tell: Mutex::new(Some(tell)),
    });
    let first = Standing {
        among,
        has_told: false,
    };
    (first, told)
}

impl Standing {
    /// The word of one host more.
    pub(crate) fn another(&self) -> Standing {
        Standing {
            among: self.among.clone(),
            has_told: false,
        }
    }

    /// It stands.
    pub(crate) fn tell(mut self) {
        self.has_told = true;
    }

    /// It does not, for this reason.
    pub(crate) fn tell_failure(mut self, text: Box<str>) {
        self.has_told = true;
        lock(&self.among.fallen).get_or_insert(Fallen::Failed(text));
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if !self.has_told {
            lock(&self.among.fallen).get_or_insert(Fallen::Lost);
        }
    }
}
