//! The part of `DashMap` that the directory uses. Each operation is atomic and orders like a lock.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;

use loom::sync::Mutex;

use crate::base::sync::lock;

pub(crate) struct Map<K, V>(Mutex<HashMap<K, V>>);

/// A value that was found. The real one locks its shard until it is dropped, which the directory does at once.
pub(crate) struct Found<V>(V);

impl<V> Deref for Found<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Map(Mutex::new(HashMap::new()))
    }
}

impl<K: Hash + Eq, V: Clone> Map<K, V> {
    pub(crate) fn insert(&self, key: K, value: V) -> Option<V> {
        lock(&self.0).insert(key, value)
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<Found<V>>
    where
        K: std::borrow::Borrow<Q>,
    {
        lock(&self.0).get(key).cloned().map(Found)
    }

    pub(crate) fn remove(&self, key: &K) -> Option<(K, V)> {
        lock(&self.0).remove_entry(key)
    }

    pub(crate) fn remove_if(&self, key: &K, is_it: impl FnOnce(&K, &V) -> bool) -> Option<(K, V)> {
        let mut map = lock(&self.0);
        let (known, value) = map.get_key_value(key)?;
        if !is_it(known, value) {
            return None;
        }
        map.remove_entry(key)
    }

    /// Iterates over a copy of the values. The real one goes from shard to shard.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Found<V>> {
        let all: Vec<V> = lock(&self.0).values().cloned().collect();
        all.into_iter().map(Found)
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }
}
