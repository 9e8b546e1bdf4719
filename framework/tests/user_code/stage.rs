//! A combination as it is run: the system with all who take part, who sends what, and what must hold after it.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use mycelia::error::MountError;
use mycelia::observe::{DeadLetterStream, Watch};
use mycelia::prelude::*;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::common::named;
use crate::extractors::{Own, parse_for};
use crate::kept::Drains;
use crate::plays::play;
use crate::senders::{Said, Verb, Way, ask_blocking_by, asked, say, told as told_by, unwound};
use crate::subjects::{Do, DoBlocking, Driver, Hit, Narrow, Target, Wait, Witness};
use crate::table::{Act, Place, Site};
use crate::world::{BOUND, Token, World, until};

pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    pub(crate) system: System,
    pub(crate) place: Place,
    pub(crate) letters: DeadLetterStream,
    pub(crate) events: Watch,
}

/// A shared state of the user's.
struct Shared(#[allow(dead_code, reason = "it is dropped")] Token);

/// Runs a combination on a thread of its own; returns what was wrong.
pub(crate) fn run(site: Site, act: Act, place: Place) -> Result<(), String> {
    let (ended, wait) = channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(walk(site, act, place));
        ended.send(()).unwrap();
    });
    match wait.recv_timeout(4 * BOUND) {
        Ok(()) => Ok(()),
        Err(RecvTimeoutError::Timeout) => Err("hangs".into()),
        Err(RecvTimeoutError::Disconnected) => {
            let panic = thread.join().unwrap_err();
            Err(match panic.downcast::<String>() {
                Ok(text) => *text,
                Err(panic) => match panic.downcast::<&str>() {
                    Ok(text) => (*text).into(),
                    Err(_) => "a panic without a text".into(),
                },
            })
        }
    }
}

async fn walk(site: Site, act: Act, place: Place) {
    let world = World::new(site, act);
    let mut stage = Stage::set(world.clone(), place).await;
    let expect = play(&mut stage).await;
    stage.check(expect).await;
    // A forgotten future keeps its system's shared state.
    let kept = isize::from(world.forgets());
    let begun = Instant::now();
    while world.live() != kept {
        let live = world.live();
        assert!(
            begun.elapsed() < BOUND,
            "{live} values of the user's are never dropped"
        );
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

impl Stage {
    async fn set(world: Arc<World>, place: Place) -> Self {
        let builder = System::builder()
            .threads(2)
            .pool(64)
            .blocking_threads(2)
            .state(Shared(world.token(Site::StateDrop)));
        let builder = match world.site {
            Site::BeforeStopCall
            | Site::BeforeStopPoll
            | Site::BeforeStopPollAndDrop
            | Site::BeforeStopDrop => {
                let drains = Drains::new(&world);
                builder.before_stop(move |_| drains.called())
            }
            _ => builder,
        };
        let system = builder.start().await.unwrap();
        world.inhabit(&system);
        let (letters, events) = (system.dead_letters(), system.watch_all());
        let on = |name, thread| named(name).thread(thread);
        system.mount_with(on("near", 0), || Witness).await.unwrap();
        system.mount_with(on("far", 1), || Witness).await.unwrap();
        system.mount_with(on("spare", 1), || Witness).await.unwrap();
        system
            .mount_with(on("driver-0", 0), Driver::default)
            .await
            .unwrap();
        system
            .mount_with(on("driver-1", 1), Driver::default)
            .await
            .unwrap();
        let narrow = world.clone();
        let options = on("narrow", 1).capacity(1);
        system
            .mount_with(options, move || Narrow(narrow.clone()))
            .await
            .unwrap();
        let stage = Stage {
            world,
            system,
            place,
            letters,
            events,
        };
        // A start that fails is tried again.
        let mut options = on("target", 0).intensity(10, Duration::from_secs(60));
        if stage.world.site == Site::AdmitCall {
            options = options.admission("fussy/{word}", Own(stage.world.clone(), "admission"));
        }
        stage.mount_target(options).await.unwrap();
        if matches!(stage.world.act, Act::WaitsForRoom | Act::ForgetsATell) {
            stage.system.tell("narrow://wait", Wait).await.unwrap();
        }
        stage
    }

    /// Mounts one more of the kind whose code misbehaves.
    pub(crate) async fn mount_target(&self, options: MountOptions) -> Result<(), MountError> {
        let world = self.world.clone();
        self.system
            .mount_with(options, move || Target::new(&world))
            .await
    }

    pub(crate) fn hit(&self) -> Hit {
        Hit(self.world.token(Site::Nowhere))
    }

    /// A message whose drop is the site.
    pub(crate) fn hit_at_site(&self) -> Hit {
        Hit(self.world.token(self.world.site))
    }

    /// Sends from the place.
    pub(crate) async fn send(&self, verb: Verb, way: Way, hit: Hit) -> Said {
        let (world, system) = (self.world.clone(), self.system.clone());
        if self.place == Place::Outside {
            return timeout(BOUND, say(system, world, verb, way, hit))
                .await
                .expect("a sender is told");
        }
        let verb = match self.place {
            Place::SameThread if verb == Verb::Send => Verb::Tell,
            _ => verb,
        };
        let (tell, told) = oneshot::channel();
        if self.place == Place::BlockingThread {
            let errand = move |system: System| {
                let said = std::panic::catch_unwind(AssertUnwindSafe(|| match verb {
                    Verb::Tell => {
                        parse_for(&world);
                        let Way::Path(path) = way else {
                            unreachable!("tells go by path here")
                        };
                        told_by(system.tell_blocking(path, hit))
                    }
                    _ => asked(ask_blocking_by(&system, &world, way, hit)),
                }));
                let _ = tell.send(said.unwrap_or_else(unwound));
            };
            let errand = DoBlocking(Box::new(errand));
            self.system
                .tell("driver-1://do-blocking", errand)
                .await
                .unwrap();
        } else {
            let errand = move |system: System| -> Pin<Box<dyn Future<Output = ()>>> {
                Box::pin(async move {
                    let _ = tell.send(say(system, world, verb, way, hit).await);
                })
            };
            self.drive(errand).await;
        }
        let said = timeout(BOUND, told).await.expect("a sender is told");
        said.unwrap_or(Said::Nothing)
    }

    /// Has the driver at the place do something.
    pub(crate) async fn drive(
        &self,
        errand: impl FnOnce(System) -> Pin<Box<dyn Future<Output = ()>>> + Send + 'static,
    ) {
        let driver = match self.place {
            Place::SameThread | Place::LentTurn => "driver-0://do",
            _ => "driver-1://do",
        };
        self.system
            .tell(driver, Do(Box::new(errand)))
            .await
            .unwrap();
    }

    /// Holds a subsystem's handler at the gate.
    pub(crate) async fn hold(&self, path: &'static str) {
        let before = self.world.at_the_gate.load(Ordering::SeqCst);
        self.system.tell(path, self.hit()).await.unwrap();
        self.until_at_the_gate(before + 1).await;
    }

    pub(crate) async fn until_at_the_gate(&self, handlers: u32) {
        until("a handler waits at the gate", || {
            self.world.at_the_gate.load(Ordering::SeqCst) >= handlers
        })
        .await;
    }

    pub(crate) async fn until_fired(&self) {
        until("the site is reached", || self.world.has_fired()).await;
    }

    /// What a sender may be told; more where the act ends the system, or the receiver.
    pub(crate) fn accept(&self, said: &Said, wanted: Said) {
        let may_be_refused = self.world.act.ends_something()
            && matches!(
                said,
                Said::Refused(_) | Said::Unhandled | Said::Accepted | Said::Replied
            );
        assert!(
            *said == wanted || may_be_refused,
            "told {said:?} in place of {wanted:?}"
        );
    }
}
