//! Stop by signal: a program that runs until the operating system tells it to end.

use std::io;
use std::pin::pin;

use futures_util::future::{Either, select};

use super::{Exit, StopError, StopReport, System};
use crate::base::user_code::shielded;
use crate::runtime::shared::Phase;
use crate::words::stop_reason::StopReason;

impl System {
    /// Runs until Ctrl-C (`SIGINT`) or, on Unix, `SIGTERM`; then stops within the builder's
    /// [`stop_deadline`](crate::Builder::stop_deadline), as [`stop`](Self::stop) does. A second signal
    /// ends the stop at once: what is left then is undeliverable, or failed if its handler had begun.
    ///
    /// Ends too when the system has stopped for another reason: because someone else told it to, or
    /// because a subsystem failed too often.
    ///
    /// Signals are taken from the call on, not only from the first poll: who makes the future may say
    /// "ready" before it awaits it. From then on they do not end the process by themselves any more, even
    /// if the future is dropped.
    ///
    /// Works on any executor. Needs the feature `signal`, which is on by default.
    ///
    /// # Cancel safety
    /// Dropped before the first signal, nothing has happened to the system; dropped later, as
    /// [`stop_within`](Self::stop_within).
    ///
    /// # Examples
    /// ```
    /// use mycelia::prelude::*;
    ///
    /// #[mycelia::main]
    /// async fn main() -> anyhow::Result<mycelia::Exit> {
    ///     let system = System::builder().start().await?;
    ///     # let other = system.clone();
    ///     # std::thread::spawn(move || mycelia::__private::block_on(async move { other.stop().await }));
    ///     Ok(system.run_until_signal().await)
    /// }
    /// ```
    pub fn run_until_signal(&self) -> impl Future<Output = Exit> {
        let keepers = self.0.shared.keepers.enter();
        let signals = Signals::listen();
        drop(keepers);
        async move { shielded(self.run_until(signals)).await.into() }
    }

    async fn run_until(&self, signals: io::Result<Signals>) -> Result<StopReport, StopError> {
        if let Some(refusal) = self.refuse_handler() {
            return Err(refusal);
        }
        let shared = &self.0.shared;
        let mut signals = match signals {
            Ok(signals) => signals,
            Err(error) if shared.phase() == Phase::Open => {
                return Err(StopError::NoSignals(error.to_string().into()));
            }
            // Its threads may have ended: there is nothing to be told that it does not know.
            Err(_) => return self.end(shared.stop_deadline).await,
        };
        match select(pin!(signals.next()), pin!(self.stopped())).await {
            Either::Left((signal, _)) => shared.note_stop(StopReason::Signal(signal)),
            Either::Right(_) => {}
        }
        let stop = pin!(self.end(shared.stop_deadline));
        let stop = match select(pin!(signals.next()), stop).await {
            Either::Right((stopped, _)) => return stopped,
            Either::Left((signal, stop)) => {
                shared.hurry(signal);
                stop
            }
        };
        stop.await
    }
}

/// The signals that tell a program to end.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Takes them from now on. Must be called within a tokio runtime, which then drives it.
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next one's name.
    async fn next(&mut self) -> &'static str {
        let interrupt = pin!(self.interrupt.recv());
        let terminate = pin!(self.terminate.recv());
        match select(interrupt, terminate).await {
            Either::Left((Some(()), _)) => "SIGINT",
            Either::Right((Some(()), _)) => "SIGTERM",
            // The driver is gone: none will come.
            _ => std::future::pending().await,
        }
    }
}

/// The signals that tell a program to end.
#[cfg(not(unix))]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    /// Takes them from now on.
    fn listen() -> io::Result<Self> {
        Ok(Signals(tokio::signal::windows::ctrl_c()?))
    }

    /// The next one's name.
    async fn next(&mut self) -> &'static str {
        match self.0.recv().await {
            Some(()) => "SIGINT",
            None => std::future::pending().await,
        }
    }
}
