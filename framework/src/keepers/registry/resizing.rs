//! Resizing: more replicas under a name, or fewer, while messages flow.

use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, Addr, AsyncContext, Context, Handler};
use tokio::sync::oneshot;

use super::Registry;
use super::mounting::{Launch, Mount, One};
use super::unmounting::Unmount;
use crate::base::sync::{Ordering, fence};
use crate::base::user_code::contain;
use crate::directory::{Below, Mounted};
use crate::runtime::deadlock::caller::Caller;
use crate::words::error::MountError;

/// Between two looks whether the replicas have ended what they had before.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Changes how many replicas share a name.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(crate) struct Resize {
    pub(crate) name: Box<str>,
    pub(crate) count: usize,
    /// The handler that waits for it.
    pub(crate) caller: Option<Arc<Caller>>,
    pub(crate) told: oneshot::Sender<Result<(), MountError>>,
}

/// Makes launches for so many more replicas.
pub(crate) type LaunchMore = Box<dyn Fn(usize) -> Vec<Launch> + Send>;

/// How more replicas of a name are mounted.
pub(crate) struct Replenish {
    /// With the name of no one.
    pub(crate) one: One,
    pub(crate) launch: LaunchMore,
    pub(crate) is_resizing: bool,
}

impl Handler<Resize> for Registry {
    type Result = ();

    fn handle(&mut self, resize: Resize, ctx: &mut Context<Self>) {
        let Resize {
            name,
            count,
            caller,
            told,
        } = resize;
        let mount = match self.begin_resize(&name, count, caller) {
            Ok(mount) => mount,
            Err(error) => return drop(told.send(Err(error))),
        };
        let Some(mount) = mount else {
            let switched = self.switch(&name, count, ctx);
            return drop(told.send(switched));
        };
        let mounted = <Self as Handler<Mount>>::handle(self, mount, ctx);
        ctx.spawn(mounted.map(move |mounted, registry, ctx| {
            if let Some(replenish) = registry.replicas.get_mut(&*name) {
                replenish.is_resizing = false;
            }
            let switched = mounted.and_then(|()| registry.switch(&name, count, ctx));
            let _ = told.send(switched);
        }));
    }
}

impl Registry {
    /// What is to be mounted first, if anything is.
    fn begin_resize(
        &mut self,
        name: &str,
        count: usize,
        caller: Option<Arc<Caller>>,
    ) -> Result<Option<Mount>, MountError> {
        let no_replicas = || MountError::NoReplicas { name: name.into() };
        let directory = &self.shared.directory;
        let face = directory.get(name).ok_or_else(no_replicas)?;
        let group = face.group().ok_or_else(no_replicas)?;
        let replenish = self.replicas.get_mut(name).ok_or_else(no_replicas)?;
        if replenish.is_resizing || group.before().is_some() {
            return Err(MountError::Resizing { name: name.into() });
        }
        let known = group.members().len();
        if count <= known {
            return Ok(None);
        }
        let launches = contain(|| (replenish.launch)(count.saturating_sub(known)));
        let launches = launches.map_err(|message| MountError::StartFailed {
            subsystem: name.into(),
            message,
        })?;
        replenish.is_resizing = true;
        let one = |at: usize| One {
            name: format!("{name}/{at}").into(),
            ..replenish.one.clone()
        };
        let family = family_of(&face).clone();
        Ok(Some(Mount {
            caller,
            map: family.map.clone(),
            parent: Some(Below::new(family)),
            front: None,
            each: (known..count).map(one).collect(),
            launches,
        }))
    }

    /// Has messages spread over so many replicas, which all stand, from now on.
    fn switch(
        &mut self,
        name: &str,
        count: usize,
        ctx: &mut Context<Self>,
    ) -> Result<(), MountError> {
        let directory = self.shared.directory.clone();
        let face = directory.get(name).ok_or(MountError::Stopped)?;
        let group = face.group().ok_or(MountError::Stopped)?;
        let before = group.members().clone();
        if count == before.len() {
            return Ok(());
        }
        let member = |at: usize| match before.get(at) {
            Some(known) => Some(known.clone()),
            None => directory.get(&format!("{name}/{at}")),
        };
        let members: Option<Vec<_>> = (0..count).map(member).collect();
        // A new one has ended at once.
        let members = members.ok_or(MountError::Stopped)?;
        let family = family_of(&face).clone();
        let after = self.face_of(&family);
        after.stand_for(group.resized(members.into(), family));
        if !directory.replace(&face, after.clone()) {
            return Err(MountError::Stopped);
        }
        // Who has not seen that it is replaced has pushed before: see `send::chosen`.
        fence(Ordering::SeqCst);
        if let Some(before) = after.group().and_then(|group| group.before()) {
            before.begin();
        }
        let go = before.iter().skip(count);
        let go = go.map(|one| one.mailbox.name.clone()).collect();
        drop(actix_rt::spawn(settle(after, go, ctx.address())));
        Ok(())
    }
}

/// The one whose children the replicas are.
fn family_of(face: &Arc<Mounted>) -> &Arc<Mounted> {
    let family = face.group().and_then(|group| group.family());
    family.unwrap_or(face)
}

/// Waits until those from whom keys have moved have ended what they had.
async fn settle(face: Arc<Mounted>, go: Vec<Arc<str>>, registry: Addr<Registry>) {
    let before = || face.group().and_then(|group| group.before());
    while let Some(before) = before()
        && !before.look()
    {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    registry.do_send(Settled { face, go });
}

/// Those from whom keys have moved have ended what they had.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Settled {
    face: Arc<Mounted>,
    /// Those that go.
    go: Vec<Arc<str>>,
}

impl Handler<Settled> for Registry {
    type Result = ();

    fn handle(&mut self, settled: Settled, ctx: &mut Context<Self>) {
        for name in settled.go {
            let (told, _) = oneshot::channel();
            let unmount = Unmount {
                name: (*name).into(),
                deadline: None,
                caller: None,
                held_open: 0,
                told,
            };
            self.handle(unmount, ctx);
        }
        // Their names can be mounted under again when they have ended: the next resize waits for that.
        if let Some(before) = settled.face.group().and_then(|group| group.before()) {
            before.end();
        }
    }
}
