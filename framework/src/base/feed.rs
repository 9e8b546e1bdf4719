//! Feed: passes values on to one receiver that is declared further down, while it wants them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use once_cell::sync::OnceCell;

use crate::base::sync::Ordering;
use crate::base::user_code::contain;

/// What a feed passes on to.
type Outlet<T> = Box<dyn Fn(&T) + Send + Sync>;

/// Passes values on, once it is told where to.
pub(crate) struct Feed<T>(OnceCell<(Arc<AtomicBool>, Outlet<T>)>);

impl<T> Feed<T> {
    pub(crate) fn new() -> Self {
        Feed(OnceCell::new())
    }

    /// Passes on to `outlet` from now on, while `wanted` is true; the first call counts.
    pub(crate) fn lead_to(&self, wanted: Arc<AtomicBool>, outlet: Outlet<T>) {
        let _ = self.0.set((wanted, outlet));
    }

    /// True if values are passed on.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        (self.0.get()).is_some_and(|(wanted, _)| wanted.load(Ordering::Acquire))
    }

    /// Passes a value on. A panic at the outlet, whose receivers parse with the user's code, ends here.
    pub(crate) fn tell(&self, value: &T) {
        if let Some((wanted, outlet)) = self.0.get()
            && wanted.load(Ordering::Acquire)
        {
            let _ = contain(|| outlet(value));
        }
    }
}

impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feed")
    }
}
