//! Mounting several at once: replicas that share a name, and any number under names of their own.

use super::{MountOptions, Mounting, System};
use crate::base::user_code::Contained;
use crate::directory::Below;
use crate::directory::replicas::Replicas;
use crate::keepers::registry::mounting::{Front, Mount};
use crate::keepers::registry::resizing::Replenish;
use crate::route::subsystem::Routes;
use crate::words::error::MountError;

impl System {
    /// Mounts replicas that share the type's name; see [`Replicas`].
    ///
    /// All of them are mounted or, if one fails to start, none. [`unmount`](Self::unmount) of the shared
    /// name unmounts all and returns the sum of their accounts.
    ///
    /// # Errors
    /// As [`mount`](Self::mount); or no route has the capture by which they are to be chosen; or they are
    /// more than [`Replicas::MAX`].
    pub fn mount_replicas<S: Routes>(
        &self,
        replicas: Replicas,
        factory: impl Fn() -> S + Clone + Send + 'static,
    ) -> Mounting<'_> {
        let options = MountOptions::new();
        self.mount_replicas_with(replicas, options, factory)
    }

    /// Mounts replicas with options: the name is the one that they share, all else is meant for each.
    ///
    /// # Errors
    /// As [`mount_replicas`](Self::mount_replicas).
    ///
    /// # Cancel safety
    /// Dropped before its end, all or none may be mounted.
    pub fn mount_replicas_with<S: Routes>(
        &self,
        replicas: Replicas,
        options: MountOptions,
        factory: impl Fn() -> S + Clone + Send + 'static,
    ) -> Mounting<'_> {
        let factory = Contained::new(factory);
        Mounting::new(async move {
            let parent = self.parent::<S>(&options)?;
            let name = options.name_of::<S>();
            let kind = self.kind::<S>(|| name.clone())?;
            options.check(&name)?;
            if !(1..=Replicas::MAX).contains(&replicas.count()) {
                return Err(MountError::BadSetting {
                    subsystem: (*name).into(),
                    setting: "replicas",
                    must_be: "1 to 65,536",
                });
            }
            let choice = replicas.choice(kind.map());
            let choice = choice.map_err(|error| error.of(&name))?;
            let each = (0..replicas.count()).map(|n| options.one(format!("{name}/{n}").into()));
            let map = self.map_for(&options, kind.map(), &name)?;
            let (again, threads) = (factory.clone(), self.0.threads);
            let (more_of, one) = (kind.clone(), options.one(name.clone()));
            let more = Replenish {
                one,
                launch: Box::new(move |count| more_of.launches(count, threads, again.clone())),
                is_resizing: false,
            };
            let mount = Mount {
                caller: None,
                parent: parent.map(Below::new),
                each: each.collect(),
                front: Some(Front { name, choice, more }),
                map,
                launches: kind.launches(replicas.count(), self.0.threads, factory),
            };
            self.send_mount(mount).await
        })
    }

    /// Mounts many subsystems of one type at once, each with options of its own, much faster than one by
    /// one. All must have the same parent, or none.
    ///
    /// All of them are mounted or, if one fails to start, none.
    ///
    /// # Errors
    /// As [`mount`](Self::mount).
    ///
    /// # Cancel safety
    /// Dropped before its end, all or none may be mounted.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # #[derive(Message)] struct Ping;
    /// # #[derive(Subsystem, Default)] struct Lamp;
    /// # #[routes] impl Lamp { #[route("ping")] fn ping(&mut self, _: Ping) {} }
    /// # #[mycelia::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// # let system = System::builder().start().await?;
    /// let lamps = (0..1000).map(|n| MountOptions::new().name(format!("lamp-{n}")));
    /// system.mount_all(lamps, Lamp::default).await?;
    /// system.tell("lamp-999://ping", Ping).await?;
    /// # system.stop().await?;
    /// # Ok(()) }
    /// ```
    pub fn mount_all<S: Routes>(
        &self,
        each: impl IntoIterator<Item = MountOptions>,
        factory: impl Fn() -> S + Clone + Send + 'static,
    ) -> Mounting<'_> {
        let factory = Contained::new(factory);
        let each: Vec<MountOptions> = each.into_iter().collect();
        Mounting::new(async move {
            let Some(first) = each.first() else {
                return Ok(());
            };
            let parent = self.parent::<S>(first)?;
            let kind = self.kind::<S>(|| first.name_of::<S>())?;
            let shared_parent = first.parent.clone();
            let mut ones = Vec::with_capacity(each.len());
            for options in each {
                if options.parent != shared_parent {
                    return Err(MountError::SeveralParents);
                }
                let name = options.name_of::<S>();
                options.check(&name)?;
                options.check_among(&name)?;
                ones.push(options.one(name));
            }
            self.send_mount(Mount {
                caller: None,
                parent: parent.map(Below::new),
                front: None,
                launches: kind.launches(ones.len(), self.0.threads, factory),
                each: ones,
                map: kind.map().clone(),
            })
            .await
        })
    }
}
