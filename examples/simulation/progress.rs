//! The progress bar; without a terminal nothing is drawn.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::workers::{Failure, Workers};

/// Shows how far the workers are until they have ended, or one of them never will.
pub(crate) fn watch(workers: &Workers) -> Option<Failure> {
    // Drawn to standard error, and only if that is a terminal.
    let bar = ProgressBar::with_draw_target(Some(workers.seeds()), ProgressDrawTarget::stderr());
    let style = "{bar:32}  {pos} of {len} seeds  {msg}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    loop {
        let has_ended = workers.have_ended();
        let (passed, sum) = workers.sum();
        bar.set_position(passed);
        bar.set_message(format!("{} messages", HumanCount(sum.messages)));
        let failure = workers.failure();
        if has_ended || failure.is_some() {
            bar.finish_and_clear();
            return failure;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
