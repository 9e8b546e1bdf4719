//! What a sender does with a future of the framework's, but for awaiting it.

use std::any::Any;
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt;

#[path = "../../lib/src/rude.rs"]
#[allow(unreachable_pub, reason = "public in the library of the examples")]
mod rude;

pub(crate) use rude::{RudelyWoken, begin_and_forget};

use super::faults::{Bomb, ON_PURPOSE, UNWINDS};

/// Awaits a future of a sender; `None` if it unwound, as it may where the text of a capture is read. Then it
/// has the message yet, and so has its sender what the drop of that does.
pub(crate) async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let has_unwound = Cell::new(false);
    let with_its_drop = async {
        let mut future = pin!(AssertUnwindSafe(future).catch_unwind());
        match future.as_mut().await {
            Ok(output) => Some(output),
            Err(panic) if panic.downcast_ref() == Some(&UNWINDS) => {
                has_unwound.set(true);
                None
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    };
    match AssertUnwindSafe(with_its_drop).catch_unwind().await {
        Ok(output) => output,
        Err(panic) => {
            match has_unwound.get() {
                true => on_purpose(panic),
                false => std::panic::resume_unwind(panic),
            }
            None
        }
    }
}

/// The same of a future that drops what its sender has made; `None` if that panicked.
pub(crate) async fn caught_in_its_drop<F: Future>(future: F) -> Option<F::Output> {
    #[expect(
        clippy::redundant_async_block,
        reason = "it owns the future, and drops it at its end"
    )]
    let with_its_drop = async move { future.await };
    let caught = AssertUnwindSafe(with_its_drop).catch_unwind().await;
    caught.map_err(on_purpose).ok()
}

/// Lets a panic that was meant end here.
fn on_purpose(panic: Box<dyn Any + Send>) {
    if panic.is::<Bomb>() {
        return std::mem::forget(panic);
    }
    let text = panic.downcast_ref::<String>().map_or("", String::as_str);
    if !text.contains(ON_PURPOSE) {
        std::panic::resume_unwind(panic);
    }
}
