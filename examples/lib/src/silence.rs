//! Silence: panics that are provoked say nothing while it lasts; all others are told as ever.

use std::sync::Arc;

/// What a provoked panic must contain.
pub const ON_PURPOSE: &str = "on purpose";

/// A provoked panic's payload whose drop panics again.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{ON_PURPOSE}, by a payload");
        }
    }
}

type Hook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync>;

/// Keeps provoked panics out of the output; dropped, the hook that was there before is back.
pub struct Silence(Arc<Hook>);

impl Silence {
    /// Begins it.
    pub fn begin() -> Self {
        let before: Arc<Hook> = Arc::new(std::panic::take_hook());
        let others = before.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or_default();
            if !text.contains(ON_PURPOSE) && !panic.payload().is::<Bomb>() {
                others(panic);
            }
        }));
        Silence(before)
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A panicking thread may not touch the hook; it ends the program anyway.
        if !std::thread::panicking() {
            let before = self.0.clone();
            std::panic::set_hook(Box::new(move |panic| before(panic)));
        }
    }
}
