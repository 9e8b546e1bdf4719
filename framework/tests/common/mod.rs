//! What the tests of the promises share: an end to every hang, and a way to wait for a fact.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::sync::Once;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use mycelia::observe::Ledger;
use mycelia::{MountOptions, System};

/// Far longer than any scenario takes; a thread sanitizer has all take many times as long.
const LIMIT: Duration = Duration::from_secs(match cfg!(mycelia_thread_sanitizer) {
    true => 900,
    false => 60,
});

/// Ends the process, and so the test, if the scenario that holds it hangs.
#[must_use = "it watches as long as it lives"]
pub(crate) struct Watchdog {
    _alive: Sender<()>,
}

/// Watches the scenario of the calling test. A blocked thread can't be ended, only its process.
pub(crate) fn watchdog() -> Watchdog {
    let (alive, ended) = channel::<()>();
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    std::thread::spawn(move || {
        if ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("`{name}` hangs: it has not ended within {LIMIT:?}");
            std::process::abort();
        }
    });
    Watchdog { _alive: alive }
}

/// Waits until something holds, looking at it every so often.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT / 2, "never came to hold: {what}");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// Waits until no message waits and every envelope is free; returns the account, which closes.
pub(crate) async fn quiet(system: &System) -> Ledger {
    until("the system is quiet", || {
        let now = system.snapshot();
        now.total.is_quiet() && now.pool.in_flight == 0
    })
    .await;
    let now = system.snapshot();
    assert!(now.total.closes(), "{:?}", now.total);
    assert!(now.pool.created <= now.pool.capacity, "{:?}", now.pool);
    now.total
}

/// `[sent, handled, failed, dropped, expired, undeliverable]`
pub(crate) fn figures(ledger: &Ledger) -> [u64; 6] {
    assert!(ledger.closes(), "{ledger:?}");
    assert!(ledger.is_quiet(), "{ledger:?}");
    [
        ledger.sent,
        ledger.handled,
        ledger.failed,
        ledger.dropped,
        ledger.expired,
        ledger.undeliverable,
    ]
}

/// What a panic that a test provokes must contain; [`quiet_panics`] keeps it out of the output.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// Keeps the panics that tests provoke in handlers out of the output.
pub(crate) fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or_default();
            if !text.contains(ON_PURPOSE) {
                before(panic);
            }
        }));
    });
}

/// Keeps all panics on threads of systems out of the output, whatever their payload.
pub(crate) fn quiet_threads() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A test's thread is named after it.
            let thread = std::thread::current();
            if thread
                .name()
                .is_some_and(|name| name.matches('_').count() > 2)
            {
                before(panic);
            }
        }));
    });
}

/// Runs a future on the calling thread, on no executor at all.
pub(crate) fn on_no_executor<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// Polls a future once, then drops it; the result if it was ready.
pub(crate) async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// The options of a mount under that name.
pub(crate) fn named(name: &str) -> MountOptions {
    MountOptions::new().name(name)
}

/// Runs a future on the calling thread, which it blocks, as the executors of other crates do.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}
