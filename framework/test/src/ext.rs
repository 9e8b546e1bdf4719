//! How a system is given faults: see [`Faults`].

use crate::runtime::taps::Faults;
use crate::system::{Builder, System};

impl Builder {
    /// Faults that the system is to have on purpose. Feature `test`.
    pub fn faults(mut self, faults: &Faults) -> Self {
        self.faults = Some(faults.clone());
        self
    }
}

impl System {
    /// The faults that the system has on purpose, to be set and removed. Feature `test`.
    pub fn faults(&self) -> Faults {
        self.shared().taps.faults.clone()
    }
}
