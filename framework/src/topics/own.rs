//! The framework's own topics, `mycelia://…`: what it tells of itself, as messages.
//!
//! | topic | message |
//! |---|---|
//! | `mycelia://lifecycle/{*subsystem}` | [`Event`](crate::observe::Event) |
//! | `mycelia://dead-letters` | [`DeadLetter`](crate::observe::DeadLetter) |
//!
//! They are published where they happen, which never waits: who has room gets all of them.

use std::sync::Arc;

use super::Topics;
use super::publish::publish_own;
use crate::books::dead_letters::DeadLetter;
use crate::runtime::shared::Shared;
use crate::words::events::Event;

/// Has events and dead letters published while somebody subscribes to them.
pub(crate) fn lead_own_topics(shared: &Arc<Shared>, topics: &Arc<Topics>) {
    let (system, table) = (Arc::downgrade(shared), Arc::downgrade(topics));
    let outlet = Box::new(move |event: &Event| {
        if let (Some(shared), Some(topics)) = (system.upgrade(), table.upgrade()) {
            let path = format!("{}://lifecycle/{}", super::OWN, event.subsystem);
            publish_own(&shared, &topics, &path, event.clone());
        }
    });
    shared.events.lead_to(topics.own_wanted.clone(), outlet);
    let (system, table) = (Arc::downgrade(shared), Arc::downgrade(topics));
    let outlet = Box::new(move |letter: &DeadLetter| {
        // One of a dead letter that was published would be followed by another, without end.
        if letter.message == std::any::type_name::<DeadLetter>() {
            return;
        }
        if let (Some(shared), Some(topics)) = (system.upgrade(), table.upgrade()) {
            let path = "mycelia://dead-letters";
            publish_own(&shared, &topics, path, letter.clone());
        }
    });
    shared
        .dead_letters
        .lead_to(topics.own_wanted.clone(), outlet);
}
