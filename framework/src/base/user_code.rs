//! User code: every point where the framework calls code that is not its own.
//!
//! Such code may panic, panic again while it unwinds, call back into the framework, forget a future, or block.
//! Four rules hold at every point. The framework's own state is consistent before the call. The framework holds
//! no lock and no borrow that the call could need. The destructor of a thread-local makes no such call. And a
//! panic in user code fails only the message, subsystem or caller that the code belongs to.
//!
//! | point | called on | a panic there |
//! |---|---|---|
//! | handler, async handler | the subsystem's thread | fails its message; the subsystem fails under its policy (caught in `host/turn.rs`, `route/handler/runner.rs`) |
//! | blocking handler | a blocking thread | the same (`route/handler/blocking.rs`) |
//! | hook: started, restarting, stopped | the subsystem's thread | fails the start; after the last message it is in the event, the report and the result of the unmount |
//! | factory | the subsystem's thread | fails the mount or the restart |
//! | drop of a subsystem's value | the subsystem's thread | counts as the subsystem's last failure |
//! | drop of a handler's future | the subsystem's thread | the same |
//! | drop of a message that no handler took | the thread that ends it | is contained: the message has ended already |
//! | drop of a reply that no asker took | the thread that returns its envelope | is contained |
//! | drop of a panic's payload | the thread that caught the panic | is contained |
//! | `Display` and `From` of a handler's error | the subsystem's thread | fails the message, as a panic |
//! | `FromStr` of a capture | the thread that sends, or that resolves a path to a handle | unwinds to the caller; nothing was sent |
//! | `AsPath`, `Captures` of the sender's own types | the sender's thread | unwinds to the sender; nothing was sent |
//! | `Admission::admit` | the sender's thread | unwinds to the sender; nothing was sent |
//! | waker of a sender or an asker: wake | the thread that makes room, or that answers | is contained |
//! | waker: clone and drop | the sender's thread | unwinds to the sender |
//! | stream, closure of a timer: call and drop | the subsystem's thread | fails the subsystem, under its policy |
//! | drop of a message that a timer or a stream did not send | the subsystem's thread | the same |
//! | call, unpacking, drop of an extractor's value | the subsystem's thread | fails the message, as a panic |
//! | `Routes::routes`, `Extractor::check`; clone of a factory of replicas | the mounter's thread | unwinds to the mounter; nothing was mounted |
//! | strategy | the keepers' thread | round-robin takes the strategy's place |
//! | `before_stop` future: call, poll, drop | a subsystem's thread | is in the stop's report |
//! | waker of a task that mounts, unmounts, stops or watches: wake, drop | the keepers' or the subsystem's thread | is contained: see [`shielded`] |
//! | drop of a factory, a handler's closure, a strategy or a shared state | the thread that drops it last | is contained: see [`Contained`] |

use std::any::Any;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

/// The payload of a caught panic.
pub(crate) type PanicPayload = Box<dyn Any + Send>;

/// Calls user code. If it panics, returns the panic's text.
#[inline]
pub(crate) fn contain<T>(call: impl FnOnce() -> T) -> Result<T, Box<str>> {
    catch_unwind(AssertUnwindSafe(call)).map_err(text_of)
}

/// Drops a value of a user's type and contains a panic of its drop.
#[inline]
pub(crate) fn discard<T>(value: T) {
    if !std::mem::needs_drop::<T>() {
        return;
    }
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        discard_payload(payload);
    }
}

/// A value of a user's type that the framework holds. A panic of its drop is contained. If it could escape while
/// another panic unwinds, it would abort the process.
pub(crate) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    #[inline(always)]
    pub(crate) fn new(value: T) -> Self {
        Contained(Some(value))
    }

    /// The value.
    ///
    /// # Panics
    /// If it was taken.
    #[inline(always)]
    pub(crate) fn get(&self) -> &T {
        self.0.as_ref().expect("a contained value is not taken yet")
    }

    /// The value, mutably.
    ///
    /// # Panics
    /// If it was taken.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("a contained value is not taken yet")
    }

    /// Takes the value out.
    ///
    /// # Panics
    /// If it was taken before.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> T {
        self.0.take().expect("a contained value is taken once")
    }
}

impl<T> Deref for Contained<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.get()
    }
}

impl<T> DerefMut for Contained<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.get_mut()
    }
}

impl<T: Clone> Clone for Contained<T> {
    fn clone(&self) -> Self {
        Contained(self.0.clone())
    }
}

impl<T> Drop for Contained<T> {
    #[inline]
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>()
            && let Some(value) = self.0.take()
        {
            discard(value);
        }
    }
}

/// A value of a user's type that lives across a call of user code. If the call panics, the value is dropped while
/// that panic unwinds, and a panic of its drop is contained: a second one would abort the process. In any other
/// case a panic of its drop passes through.
pub(crate) struct Beside<T>(pub(crate) Option<T>);

impl<T> Beside<T> {
    /// The value, mutably.
    ///
    /// # Panics
    /// If it was taken.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Beside<T> {
    #[inline]
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() && self.0.is_some() && std::thread::panicking() {
            discard(self.0.take());
        }
    }
}

/// Wakes a task of the user's. A panic of its waker is contained.
pub(crate) fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
        discard_payload(payload);
    }
}

/// The waker of a user's task, wrapped so that the framework's threads may wake, clone and drop it: panics are
/// contained.
struct Shield(Contained<Waker>);

impl Wake for Shield {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let _ = contain(|| self.0.wake_by_ref());
    }
}

/// Awaits a future of the framework's own that the keepers or hosts wake. They get the task's waker only in a
/// [`Shield`]. The waker is cloned here, on the task's own thread.
pub(crate) async fn shielded<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut shield: Option<(Arc<Shield>, Waker)> = None;
    poll_fn(move |cx| {
        let known = shield.take_if(|(shield, _)| !shield.0.will_wake(cx.waker()));
        drop(known);
        let (_, waker) = shield.get_or_insert_with(|| {
            let shield = Arc::new(Shield(Contained::new(cx.waker().clone())));
            (shield.clone(), shield.into())
        });
        future.as_mut().poll(&mut Context::from_waker(waker))
    })
    .await
}

/// The text of a caught panic.
#[cold]
pub(crate) fn text_of(payload: PanicPayload) -> Box<str> {
    let text = match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => (*text).into(),
        (None, Some(text)) => text.as_str().into(),
        (None, None) => "a panic without a text".into(),
    };
    discard_payload(payload);
    text
}

/// Drops the payload of a panic. If that panics in turn, the second payload is leaked.
#[cold]
pub(crate) fn discard_payload(payload: PanicPayload) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::panic_any;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Bomb);
        }
    }

    #[test]
    fn a_panic_is_contained_whatever_its_payload_does() {
        assert_eq!(contain(|| 7), Ok(7));
        let text: Result<(), _> = contain(|| panic!("with {}", "arguments"));
        assert_eq!(&*text.unwrap_err(), "with arguments");
        let text: Result<(), _> = contain(|| panic_any(Bomb));
        assert_eq!(&*text.unwrap_err(), "a panic without a text");
        discard(Bomb);
        drop(Contained::new(Bomb));
    }

    #[test]
    fn a_contained_value_is_dropped_without_harm_while_another_panic_unwinds() {
        let unwound: Result<(), _> = contain(|| {
            let _contained = Contained::new(Bomb);
            panic!("the first");
        });
        assert_eq!(&*unwound.unwrap_err(), "the first");
        std::mem::forget(Contained::new(Bomb).take());
    }

    #[test]
    fn what_is_contained_panics_nowhere_when_it_is_dropped() {
        let contained = Contained::new(Bomb);
        let _: &Bomb = &contained;
        drop(vec![contained, Contained::new(Bomb)]);
    }

    #[test]
    fn a_waker_that_panics_does_so_on_its_own_thread_only() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic_any(Bomb);
            }
        }
        impl Drop for Panics {
            fn drop(&mut self) {
                panic_any(Bomb);
            }
        }
        let left = std::cell::RefCell::new(None);
        let mut waits = pin!(shielded(poll_fn(|cx| {
            match left.replace(Some(cx.waker().clone())) {
                None => std::task::Poll::Pending,
                Some(_) => std::task::Poll::Ready(()),
            }
        })));
        let waker = Waker::from(Arc::new(Panics));
        let mut cx = Context::from_waker(&waker);
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        std::mem::forget(waker);
        // This could be any thread. The last reference to the waker is dropped below.
        let shield: Option<Waker> = left.borrow().clone();
        shield.expect("it waits").wake();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn a_panic_is_contained_while_another_unwinds() {
        struct DropsABomb;
        impl Drop for DropsABomb {
            fn drop(&mut self) {
                discard(Bomb);
            }
        }
        let unwound: Result<(), _> = contain(|| {
            let _drops = DropsABomb;
            panic!("the first");
        });
        assert_eq!(&*unwound.unwrap_err(), "the first");
    }
}
