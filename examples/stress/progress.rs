//! The progress bar. A thread of its own looks at the run ten times a second; the senders never
//! draw. Without a terminal there is no thread either.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::allocations;
use crate::pace::Pace;

/// The bar's own unit: it shows a share, whether of messages or of time.
const WHOLE: u64 = 1000;

/// A progress bar that is drawn until this is dropped.
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    pub(crate) fn show(title: String, pace: Arc<Pace>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Progress(None);
        }
        let (end, ends) = channel();
        let draw = move || {
            allocations::leave_this_thread_out();
            let bar = ProgressBar::new(WHOLE);
            let style = "{prefix}  {bar:32}  {percent:>3} %  {msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.set_prefix(title);
            while ends.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                bar.set_message(format!("{} sent", HumanCount(pace.sent())));
                bar.set_position((pace.done().min(1.0) * WHOLE as f64) as u64);
            }
            bar.finish_and_clear();
        };
        let thread = std::thread::Builder::new()
            .name("stress-progress".into())
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
