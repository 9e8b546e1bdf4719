//! The kinds of subsystems that a system knows, for readers of their histograms.

use std::sync::{Arc, Weak};

use super::RouteMap;
use crate::base::sync::{Mutex, lock};

/// The kinds of subsystems that a system knows. The kind of a Rust type stays; the kind of a bridged actor ends with
/// the actor.
#[derive(Default)]
pub(crate) struct Kinds(Mutex<Vec<Weak<RouteMap>>>);

impl Kinds {
    pub(crate) fn add(&self, map: &Arc<RouteMap>) {
        let mut all = lock(&self.0);
        if all.len() == all.capacity() {
            all.retain(|kind| kind.strong_count() > 0);
            // With room for as many more, so that this is rare.
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
