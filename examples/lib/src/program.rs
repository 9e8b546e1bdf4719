//! The frame of a program: its options are checked, it runs, and its verdict is the exit status.

use std::process::ExitCode;
use std::thread::{Builder, JoinHandle};

use mycelia::error::StopError;
use mycelia::observe::Ledger;
use mycelia::prelude::*;

use crate::interrupt;
use crate::options::{CommandLine, unwritable};
use crate::verdict::Verdict;

/// Runs a program, unless its options have a mistake. Ctrl-C is listened to from then on.
///
/// Exit status: 0 healthy, 1 unhealthy or an error, 2 bad options, 130 interrupted.
pub async fn run<O: CommandLine>(
    program: impl AsyncFnOnce(&O) -> anyhow::Result<Verdict>,
) -> ExitCode {
    let options = O::parse();
    let mistake = options.mistakes().into_iter().flatten().next();
    if let Some(mistake) = mistake.or_else(|| unwritable(options.json()?)) {
        eprintln!("error: {mistake}");
        return ExitCode::from(2);
    }
    let result = match interrupt::listen() {
        Ok(()) => program(&options).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(verdict) => ExitCode::from(verdict.exit_status()),
        Err(error) => {
            eprintln!("error: {error:#}");
            // What hangs may hold threads: it is not waited for.
            std::process::exit(1);
        }
    }
}

/// Runs a future on a thread of its own, with a clock.
///
/// # Errors
/// The thread is not given.
pub fn spawn<F>(name: &str, future: F) -> anyhow::Result<JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let thread = Builder::new().name(name.into());
    Ok(thread.spawn(move || runtime.block_on(future))?)
}

/// Waits for a thread that ends soon; its panic goes on here.
pub fn join<T>(thread: JoinHandle<T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Stops a system: its last ledger, and what was wrong with the stop.
pub async fn stop(system: &System) -> (Ledger, Option<String>) {
    match system.stop().await {
        Ok(report) => (report.ledger, None),
        Err(error) => {
            let text = error.to_string();
            let ledger = match error {
                StopError::DeadlineExceeded(report) | StopError::Escalated(report) => report.ledger,
                _ => system.snapshot().total,
            };
            (ledger, Some(text))
        }
    }
}
