//! The test kit: probes, faults, recordings, the manual clock.

mod clock;
mod faults;
mod probe;
mod replay;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

/// What an expectation that is not met says.
async fn failure(expectation: impl IntoFuture) -> String {
    let failed = AssertUnwindSafe(expectation.into_future())
        .catch_unwind()
        .await;
    let panic = failed.err().expect("it was to fail");
    *panic.downcast::<String>().expect("it has a text")
}
