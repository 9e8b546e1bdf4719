//! The kinds of subsystems that a system knows, for who reads their histograms.

use std::sync::{Arc, Weak};

use super::RouteMap;
use crate::base::sync::{Mutex, lock};

/// The kinds of subsystems that a system knows. Those of Rust types stay; that of a bridged actor goes with it.
#[derive(Default)]
pub(crate) struct Kinds(Mutex<Vec<Weak<RouteMap>>>);

impl Kinds {
    pub(crate) fn add(&self, map: &Arc<RouteMap>) {
        let mut all = lock(&self.0);
        if all.len() == all.capacity() {
            all.retain(|kind| kind.strong_count() > 0);
            // So that it is not looked through again soon.
            let count = all.len();
            all.reserve(count.max(4));
        }
        all.push(Arc::downgrade(map));
    }

    /// All, in the order of their types' names.
    pub(crate) fn all(&self) -> Vec<Arc<RouteMap>> {
        let mut all: Vec<_> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        all.sort_by_key(|kind| kind.type_name);
        all
    }
}
