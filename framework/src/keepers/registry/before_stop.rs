//! What runs before a stop, while messages still flow: at a user's wish, an HTTP server that drains.

use std::pin::pin;

use futures_util::future::{Either, abortable, select};
use tokio::sync::oneshot;

use crate::base::thread_handle::ThreadHandle;
use crate::base::user_code::{Contained, contain};
use crate::runtime::shared::BeforeStop;

/// Runs them one after the other on a thread of subsystems, until the time is up. What those said that failed,
/// and that one did not come to its end.
pub(super) async fn run_all(
    all: Vec<BeforeStop>,
    thread: ThreadHandle,
    mut time_is_up: impl Future<Output = ()> + Unpin,
) -> Vec<Box<str>> {
    let mut failed = Vec::new();
    for one in all {
        let (tell, told) = oneshot::channel();
        let (run, abort) = abortable(run(one));
        thread.run(move || {
            // Its end: of the task, or of the thread before it.
            drop(actix_rt::spawn(async move {
                let _ = tell.send(run.await);
            }));
        });
        let told = match select(pin!(told), &mut time_is_up).await {
            Either::Left((told, _)) => told,
            Either::Right(_) => {
                abort.abort();
                failed.push("it did not come to its end before the stop's deadline".into());
                continue;
            }
        };
        if let Ok(Ok(Err(text))) = told {
            failed.push(text);
        }
    }
    failed
}

/// Runs one. What it does wrong ends here.
async fn run(mut one: BeforeStop) -> Result<(), Box<str>> {
    let begin = one.take();
    let Some(future) = contain(begin)? else {
        return Ok(());
    };
    let mut future = Contained::new(future);
    std::future::poll_fn(move |cx| {
        let polled = contain(|| future.as_mut().poll(cx));
        polled.unwrap_or_else(|panic| std::task::Poll::Ready(Err(panic)))
    })
    .await
}
