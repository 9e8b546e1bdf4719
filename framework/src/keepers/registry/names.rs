//! Whether subsystems can be mounted under their names, and who has a name meanwhile.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::mounting::Mount;
use super::{Leaving, Moving, Registry};
use crate::directory::Below;
use crate::runtime::shared::Phase;
use crate::words::error::MountError;

/// Whether subsystems can be mounted under their names.
pub(super) enum Names {
    Free,
    /// Not before this one has left.
    Leaving(Leaving),
}

impl Mount {
    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let front = self.front.iter().map(|front| &front.name);
        front.chain(self.each.iter().map(|one| &one.name))
    }

    /// The first of the names, or the one that all share.
    pub(crate) fn subsystem(&self) -> Box<str> {
        self.names()
            .next()
            .map_or_else(Box::default, |name| (**name).into())
    }

    /// The text before the names that the caller gave.
    fn prefix(&self) -> Option<&str> {
        let below = self.parent.as_ref()?;
        Some(&below.parent.mailbox.name)
    }
}

/// True for a name that a subsystem may have below one of the name `prefix`.
fn is_good(name: &str, prefix: Option<&str>) -> bool {
    let own_name = match prefix {
        None => Some(name),
        Some(prefix) => (name.strip_prefix(prefix)).and_then(|rest| rest.strip_prefix('/')),
    };
    mycelia_core::check_name(name).is_ok() && own_name.is_some_and(|name| !name.contains('/'))
}

impl Registry {
    /// Takes the names, if all can be mounted.
    pub(super) fn check(&mut self, mount: &Mount) -> Result<Names, MountError> {
        if self.shared.phase() != Phase::Open {
            return Err(MountError::Stopped);
        }
        if let Some(refusal) = mount.parent.as_ref().and_then(Below::refusal) {
            return Err(refusal);
        }
        let threads = self.threads.len();
        for one in &mount.each {
            if let Some(thread) = one.thread.filter(|thread| *thread >= threads) {
                return Err(MountError::NoThread {
                    subsystem: (*one.name).into(),
                    thread,
                    threads,
                });
            }
        }
        let bad = match &mount.front {
            None => (mount.names()).find(|name| !is_good(name, mount.prefix())),
            Some(front) => Some(&front.name).filter(|name| !is_good(name, mount.prefix())),
        };
        if let Some(name) = bad {
            return Err(MountError::BadName {
                name: (**name).into(),
            });
        }
        self.claim(mount)
    }

    /// Takes the names for those that are mounted with them, if all are free.
    fn claim(&mut self, mount: &Mount) -> Result<Names, MountError> {
        self.moving.reserve(mount.each.len());
        // The numbers that they are given when they are placed, in the same order.
        let first = self.next_mount.saturating_add(1);
        let mut taken = None;
        for (name, number) in mount.names().zip(first..) {
            let known = match self.moving.entry(name.clone()) {
                Entry::Occupied(known) => Some(known.into_mut()),
                Entry::Vacant(_) if self.shared.directory.has(name) => None,
                Entry::Vacant(free) => {
                    free.insert(Moving::In(number));
                    continue;
                }
            };
            taken = Some(match known {
                Some(Moving::Out(leaving)) => Ok(Names::Leaving(leaving.clone())),
                _ => Err(MountError::NameTaken {
                    name: (**name).into(),
                }),
            });
            break;
        }
        let Some(taken) = taken else {
            return Ok(Names::Free);
        };
        // Those that were claimed before it, up to the first that was not.
        for (name, number) in mount.names().zip(first..) {
            match self.moving.get(name) {
                Some(Moving::In(known)) if *known == number => drop(self.moving.remove(name)),
                _ => break,
            }
        }
        taken
    }
}
