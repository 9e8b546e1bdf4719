//! The progress bar, drawn by a thread of its own ten times a second; what runs never draws. Without a terminal there
//! is neither.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::heap;

/// The bar's own unit: it shows a share.
const WHOLE: u64 = 1000;

/// A progress bar that is drawn until this is dropped.
pub struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Shows a bar with a title; `look` says how much is done, 0 to 1.
    pub fn show(title: String, look: impl Fn() -> f64 + Send + 'static) -> Self {
        Progress::with_text(title, move || (look(), String::new()))
    }

    /// Shows a bar with a title; `look` says how much is done, and what else is to be said.
    pub fn with_text(title: String, look: impl Fn() -> (f64, String) + Send + 'static) -> Self {
        if !std::io::stderr().is_terminal() {
            return Progress(None);
        }
        let (end, ends) = channel();
        let draw = move || {
            heap::leave_this_thread_out();
            let bar = ProgressBar::new(WHOLE);
            if let Ok(style) =
                ProgressStyle::with_template("{prefix}  {bar:32}  {percent:>3} %  {msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(title);
            while ends.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                let (done, text) = look();
                bar.set_message(text);
                bar.set_position((done.clamp(0.0, 1.0) * WHOLE as f64) as u64);
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
