//! Extension traits that give a system [`Faults`].

use std::sync::Arc;

use mycelia::__test::with_tap;
use mycelia::{Builder, System};

use crate::faults::Faults;
use crate::tap::KitTap;

/// What the kit adds to a [`Builder`].
pub trait BuilderExt: Sized {
    /// Sets the faults that the system injects.
    fn faults(self, faults: &Faults) -> Self;
}

impl BuilderExt for Builder {
    fn faults(self, faults: &Faults) -> Self {
        with_tap(self, Arc::new(KitTap::new(faults.clone())))
    }
}

/// What the kit adds to a [`System`].
pub trait SystemExt {
    /// Returns the system's faults, to set and remove them.
    fn faults(&self) -> Faults;
}

impl SystemExt for System {
    fn faults(&self) -> Faults {
        KitTap::of(self).faults.clone()
    }
}
