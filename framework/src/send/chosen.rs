//! Sending to one of the replicas that share a name, which may be resized meanwhile.

use std::sync::Arc;

use super::Failed;
use crate::base::sync::fence_after_swap;
use crate::directory::Mounted;
use crate::directory::replicas::Group;
use crate::route::extract::Address;
use crate::runtime::shared::Shared;
use crate::words::error::Room;

/// The replica for a message.
pub(crate) fn choose<'g>(
    group: &'g Group,
    route: u16,
    address: &Address<'_>,
) -> Result<&'g Arc<Mounted>, Failed> {
    let chosen = group.choose(route, address);
    chosen.map_err(|mailbox| Failed::Full(Room::Start, mailbox))
}

/// A message went to a replica that was chosen from a group, or was refused there. True if it is to be tried again:
/// the group was resized meanwhile, and the replica may have ended because of that.
#[inline]
pub(crate) fn is_to_be_tried_again(
    shared: &Shared,
    face: &Mounted,
    chosen: &Arc<Mounted>,
    sent: &Result<(), Failed>,
) -> bool {
    // The message was pushed before this: the registry sees that, or this sees what the registry has done.
    fence_after_swap();
    face.is_gone() && was_resized(shared, face, chosen, sent)
}

#[cold]
fn was_resized(
    shared: &Shared,
    face: &Mounted,
    chosen: &Arc<Mounted>,
    sent: &Result<(), Failed>,
) -> bool {
    let now = shared.directory.get(&face.mailbox.name);
    let now = now.as_ref().filter(|now| !std::ptr::eq(&***now, face));
    let Some(group) = now.and_then(|now| now.group()) else {
        return false;
    };
    match sent {
        Ok(()) => group.note_late(&chosen.mailbox),
        Err(Failed::Refused(_)) => return chosen.mailbox.inbox.is_closed(),
        Err(Failed::Full(..)) => {}
    }
    false
}
