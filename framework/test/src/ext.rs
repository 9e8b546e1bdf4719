//! How a system is given faults: see [`Faults`].

use std::sync::Arc;

use mycelia::__test::with_tap;
use mycelia::{Builder, System};

use crate::faults::Faults;
use crate::tap::KitTap;

/// What the kit adds to a [`Builder`].
pub trait BuilderExt: Sized {
    /// Faults that the system is to have on purpose.
    fn faults(self, faults: &Faults) -> Self;
}

impl BuilderExt for Builder {
    fn faults(self, faults: &Faults) -> Self {
        with_tap(self, Arc::new(KitTap::new(faults.clone())))
    }
}

/// What the kit adds to a [`System`].
pub trait SystemExt {
    /// The faults that the system has on purpose, to be set and removed.
    fn faults(&self) -> Faults;
}

impl SystemExt for System {
    fn faults(&self) -> Faults {
        KitTap::of(self).faults.clone()
    }
}
