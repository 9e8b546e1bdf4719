//! What the keepers keep of the user's: strategies, factories, shared states.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use mycelia::error::MountError;
use mycelia::schedule::{Load, RoundRobin, Slice, Strategy};

use crate::check::Expect;
use crate::common::named;
use crate::stage::Stage;
use crate::subjects::{Note, Witness};
use crate::table::Site;
use crate::world::{Token, World, until};

struct Moody {
    world: Arc<World>,
    _token: Token,
}

impl Moody {
    fn new(world: &Arc<World>) -> Self {
        let site = match world.site {
            site @ (Site::StrategyDropWhenReplaced | Site::StrategyDropAtStop) => site,
            _ => Site::Nowhere,
        };
        Moody {
            world: world.clone(),
            _token: match world.site {
                of @ Site::StrategyAndItsDrop => world.burning_token(of),
                _ => world.token(site),
            },
        }
    }
}

impl Strategy for Moody {
    fn slices(&mut self, _: &[Load], slices: &mut [Slice]) {
        self.world.reach(Site::StrategySlices);
        self.world.reach(Site::StrategyAndItsDrop);
        slices.fill(Slice::new(32));
    }

    fn name(&self) -> &'static str {
        self.world.reach(Site::StrategyName);
        "moody"
    }
}

/// What runs before a stop.
pub(crate) struct Drains {
    world: Arc<World>,
    _token: Token,
}

impl Drains {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Drains {
            world: world.clone(),
            _token: match world.site {
                of @ Site::BeforeStopPollAndDrop => world.burning_token(of),
                site @ Site::BeforeStopDrop => world.token(site),
                _ => world.token(Site::Nowhere),
            },
        }
    }

    pub(crate) fn called(self) -> Self {
        self.world.reach(Site::BeforeStopCall);
        self
    }
}

impl Future for Drains {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<()> {
        self.world.reach(Site::BeforeStopPoll);
        self.world.reach(Site::BeforeStopPollAndDrop);
        Poll::Ready(())
    }
}

pub(crate) async fn play(stage: &Stage) -> Expect {
    match stage.world.site {
        Site::StrategySlices | Site::StrategyAndItsDrop | Site::StrategyName => {
            strategy(stage).await
        }
        Site::StrategyDropWhenReplaced => {
            stage.system.set_strategy(Moody::new(&stage.world));
            until("the strategy is there", || {
                stage.system.snapshot().strategy == "moody"
            })
            .await;
            stage.world.arm();
            stage.system.set_strategy(RoundRobin::default());
            stage.until_fired().await;
            Expect::default()
        }
        Site::StrategyDropAtStop => {
            stage.system.set_strategy(Moody::new(&stage.world));
            until("the strategy is there", || {
                stage.system.snapshot().strategy == "moody"
            })
            .await;
            at_the_end(stage)
        }
        Site::StateDrop => at_the_end(stage),
        _ => factory(stage).await,
    }
}

fn at_the_end(stage: &Stage) -> Expect {
    stage.world.arm();
    Expect {
        fires_at_the_end: true,
        ..Expect::default()
    }
}

async fn strategy(stage: &Stage) -> Expect {
    stage.world.arm();
    stage.system.set_strategy(Moody::new(&stage.world));
    // The supervisor looks more often while there is something to do.
    until("the site is reached", || {
        let _ = stage.system.try_tell("near://note", Note);
        stage.world.has_fired()
    })
    .await;
    let act = stage.world.act;
    let wanted = match (act.panics(), stage.world.site) {
        (true, Site::StrategyName) => "nameless",
        (true, _) => "round-robin",
        (false, _) => "moody",
    };
    if !act.ends_something() && act != crate::table::Act::SetsAStrategy {
        until("the strategy in force", || {
            stage.system.snapshot().strategy == wanted
        })
        .await;
    }
    Expect::default()
}

async fn factory(stage: &Stage) -> Expect {
    let token = match stage.world.site {
        of @ Site::FactoryAndItsDrop => stage.world.burning_token(of),
        site => stage.world.token(site),
    };
    let world = stage.world.clone();
    let factory = move || {
        let _ = &token;
        world.reach(Site::FactoryAndItsDrop);
        Witness
    };
    match stage.world.site {
        Site::FactoryDropAtRefusal => {
            stage.world.arm();
            let mounted = stage.system.mount_as("near", factory).await;
            match mounted {
                Err(MountError::NameTaken { .. }) => {}
                other => assert!(stage.world.act.stops(), "{other:?}"),
            }
            stage.until_fired().await;
            Expect::default()
        }
        Site::FactoryAndItsDrop => {
            stage.world.arm();
            let mounted = stage.system.mount_as("extra", factory).await;
            let act = stage.world.act;
            match mounted {
                Ok(()) => assert!(!act.panics()),
                Err(MountError::StartFailed { .. }) => assert!(act.panics()),
                Err(other) => assert!(act.stops(), "{other}"),
            }
            Expect::default()
        }
        Site::FactoryDropAtStop => {
            stage
                .system
                .mount_with(named("extra").thread(0), factory)
                .await
                .unwrap();
            at_the_end(stage)
        }
        _ => {
            stage
                .system
                .mount_with(named("extra").thread(0), factory)
                .await
                .unwrap();
            stage.world.arm();
            let unmounted = stage.system.unmount("extra").await;
            assert!(
                unmounted.is_ok() || stage.world.act.stops(),
                "{unmounted:?}"
            );
            stage.until_fired().await;
            Expect::default()
        }
    }
}
