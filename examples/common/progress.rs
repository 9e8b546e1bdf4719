//! The progress bar, drawn by a thread of its own ten times a second. Without a terminal there is
//! neither.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The bar's own unit: it shows a share.
const WHOLE: u64 = 1000;

/// A progress bar that is drawn until this is dropped.
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Shows a bar with a title; `look` says how much is done, 0 to 1.
    pub(crate) fn show(title: String, look: impl Fn() -> f64 + Send + 'static) -> Self {
        if !std::io::stderr().is_terminal() {
            return Progress(None);
        }
        let (end, ends) = channel();
        let draw = move || {
            let bar = ProgressBar::new(WHOLE);
            if let Ok(style) = ProgressStyle::with_template("{prefix}  {bar:32}  {percent:>3} %") {
                bar.set_style(style);
            }
            bar.set_prefix(title);
            while ends.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                bar.set_position((look().clamp(0.0, 1.0) * WHOLE as f64) as u64);
            }
            bar.finish_and_clear();
        };
        let thread = std::thread::Builder::new()
            .name("progress".into())
            .spawn(draw);
        // Without a thread to draw it there is no bar; nothing else depends on it.
        Progress(thread.ok().map(|thread| (end, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.0.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}
