//! The troupes: how each contender makes actors of roles, and spreads them over threads.
//!
//! actix and mycelia place actors on threads in turn; the others run on tokio's executor for several
//! threads, which moves them about, or on that for one.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use tokio::runtime::{Builder, Runtime};

use super::stage::{Ending, Finale, Note, OVERTURE, Player, Role, Stage, Troupe, finale};
use crate::contenders::{Actix, Kameo, MyceliaHandle, Ractor, Xtra};
use crate::workload::Meter;

type Performed = anyhow::Result<Finale>;

fn executor(threads: usize) -> std::io::Result<Runtime> {
    match threads {
        1 => Builder::new_current_thread().enable_all().build(),
        _ => Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build(),
    }
}

mod actix_troupe {
    use super::*;
    use crate::contenders::actix::on_arbiter;
    use actix::prelude::*;

    struct Node {
        player: Player,
        stage: Arc<super::Stage<Addr<Node>>>,
    }

    impl Actor for Node {
        type Context = Context<Self>;
    }

    impl Handler<Note> for Node {
        type Result = ();

        fn handle(&mut self, note: Note, _: &mut Self::Context) {
            self.player.handle(note);
            for (to, note) in self.player.out.notes.drain(..) {
                self.stage.cast(to).do_send(note);
            }
            if let Some(result) = self.player.out.result.take() {
                self.stage.finish(Ok(result));
            }
        }
    }

    impl Troupe for Actix {
        fn perform(threads: usize, roles: Vec<Box<dyn Role>>) -> Performed {
            System::new().block_on(async move {
                let arbiters: Vec<Arbiter> = (0..threads).map(|_| Arbiter::new()).collect();
                let (stage, ending) = Stage::new();
                let stage = Arc::new(stage);
                let mut cast = Vec::with_capacity(roles.len());
                for (at, player) in Player::cast(roles).enumerate() {
                    let stage = stage.clone();
                    let start = move || Node { player, stage }.start();
                    cast.push(on_arbiter(&arbiters[at % threads].handle(), start).await?);
                }
                stage.enter(cast);
                let meter = Meter::start();
                stage.cast(0).do_send(OVERTURE);
                let finale = finale(meter, ending).await;
                for arbiter in arbiters {
                    arbiter.stop();
                    arbiter.join().ok().context("an arbiter panicked")?;
                }
                finale
            })
        }
    }
}

mod kameo_troupe {
    use super::*;
    use kameo::prelude::*;

    #[derive(Actor)]
    struct Node {
        player: Player,
        stage: Arc<Stage<ActorRef<Node>>>,
    }

    impl Message<Note> for Node {
        type Reply = ();

        async fn handle(&mut self, note: Note, _: &mut Context<Self, ()>) {
            self.player.handle(note);
            for (to, note) in self.player.out.notes.drain(..) {
                let sent = self.stage.cast(to).tell(note).send().await;
                sent.expect("the actor lives");
            }
            if let Some(result) = self.player.out.result.take() {
                self.stage.finish(Ok(result));
            }
        }
    }

    impl Troupe for Kameo {
        fn perform(threads: usize, roles: Vec<Box<dyn Role>>) -> Performed {
            let play = async move {
                let (stage, ending) = Stage::new();
                let stage = Arc::new(stage);
                let node = |player| Node {
                    player,
                    stage: stage.clone(),
                };
                let start = |node| Node::spawn_with_mailbox(node, kameo::mailbox::unbounded());
                stage.enter(Player::cast(roles).map(node).map(start).collect());
                let meter = Meter::start();
                let sent = stage.cast(0).tell(OVERTURE).send().await;
                sent.expect("the actor lives");
                finale(meter, ending).await
            };
            let executor = executor(threads)?;
            let play = executor.spawn(play);
            executor.block_on(play)?
        }
    }
}

mod ractor_troupe {
    use super::*;
    use ractor::{Actor, ActorProcessingErr, ActorRef, cast};

    struct Node;

    struct State {
        player: Player,
        stage: Arc<Stage<ActorRef<Note>>>,
    }

    impl Actor for Node {
        type Msg = Note;
        type State = State;
        type Arguments = State;

        async fn pre_start(
            &self,
            _: ActorRef<Note>,
            state: State,
        ) -> Result<State, ActorProcessingErr> {
            Ok(state)
        }

        async fn handle(
            &self,
            _: ActorRef<Note>,
            note: Note,
            state: &mut State,
        ) -> Result<(), ActorProcessingErr> {
            state.player.handle(note);
            for (to, note) in state.player.out.notes.drain(..) {
                cast!(state.stage.cast(to), note)?;
            }
            if let Some(result) = state.player.out.result.take() {
                state.stage.finish(Ok(result));
            }
            Ok(())
        }
    }

    impl Troupe for Ractor {
        fn perform(threads: usize, roles: Vec<Box<dyn Role>>) -> Performed {
            let play = async move {
                let (stage, ending) = Stage::new();
                let stage = Arc::new(stage);
                let mut cast = Vec::with_capacity(roles.len());
                for player in Player::cast(roles) {
                    let state = State {
                        player,
                        stage: stage.clone(),
                    };
                    cast.push(Actor::spawn(None, Node, state).await?.0);
                }
                stage.enter(cast);
                let meter = Meter::start();
                cast!(stage.cast(0), OVERTURE)
                    .ok()
                    .context("it has ended")?;
                finale(meter, ending).await
            };
            let executor = executor(threads)?;
            let play = executor.spawn(play);
            executor.block_on(play)?
        }
    }
}

mod xtra_troupe {
    use super::*;
    use xtra::prelude::*;

    #[derive(xtra::Actor)]
    struct Node {
        player: Player,
        stage: Arc<Stage<Address<Node>>>,
    }

    impl Handler<Note> for Node {
        type Return = ();

        async fn handle(&mut self, note: Note, _: &mut Context<Self>) {
            self.player.handle(note);
            for (to, note) in self.player.out.notes.drain(..) {
                let sent = self.stage.cast(to).send(note).detach().await;
                drop(sent.expect("the actor lives"));
            }
            if let Some(result) = self.player.out.result.take() {
                self.stage.finish(Ok(result));
            }
        }
    }

    impl Troupe for Xtra {
        fn perform(threads: usize, roles: Vec<Box<dyn Role>>) -> Performed {
            let play = async move {
                let (stage, ending) = Stage::new();
                let stage = Arc::new(stage);
                let node = |player| Node {
                    player,
                    stage: stage.clone(),
                };
                let start = |node| xtra::spawn_tokio(node, Mailbox::unbounded());
                stage.enter(Player::cast(roles).map(node).map(start).collect());
                let meter = Meter::start();
                drop(stage.cast(0).send(OVERTURE).detach().await?);
                finale(meter, ending).await
            };
            let executor = executor(threads)?;
            let play = executor.spawn(play);
            executor.block_on(play)?
        }
    }
}

mod mycelia_troupe {
    use super::*;
    use mycelia::Route;
    use mycelia::prelude::*;

    #[derive(Subsystem)]
    #[subsystem(name = "node")]
    struct Node {
        player: Player,
        stage: Arc<Stage<Route<Note>>>,
    }

    #[routes]
    impl Node {
        #[route("note")]
        async fn note(&mut self, note: Note) {
            self.player.handle(note);
            for (to, note) in self.player.out.notes.drain(..) {
                if let Err(refused) = self.stage.cast(to).tell(note).await {
                    return self.stage.finish(Err(refused.into_reason().into()));
                }
            }
            if let Some(result) = self.player.out.result.take() {
                self.stage.finish(Ok(result));
            }
        }
    }

    async fn play(
        system: &System,
        roles: Vec<Box<dyn Role>>,
        stage: Arc<Stage<Route<Note>>>,
        ending: Ending,
    ) -> Performed {
        let mut cast = Vec::with_capacity(roles.len());
        for (at, player) in Player::cast(roles).enumerate() {
            let stage = stage.clone();
            let player = Mutex::new(Some(player));
            let factory = move || {
                let mut player = player.lock().unwrap_or_else(PoisonError::into_inner);
                Node {
                    player: player.take().expect("a node is never restarted"),
                    stage: stage.clone(),
                }
            };
            let options = MountOptions::new().name(format!("node-{at}"));
            let options = options.thread(at % system.threads());
            system.mount_with(options, factory).await?;
            cast.push(system.route(format!("node-{at}://note"))?);
        }
        stage.enter(cast);
        let meter = Meter::start();
        stage.cast(0).tell(OVERTURE).await?;
        finale(meter, ending).await
    }

    impl Troupe for MyceliaHandle {
        fn perform(threads: usize, roles: Vec<Box<dyn Role>>) -> Performed {
            executor(1)?.block_on(async move {
                let system = System::builder().threads(threads).start().await?;
                let (stage, ending) = Stage::new();
                let performed = play(&system, roles, Arc::new(stage), ending).await;
                let ledger = system.stop().await?.ledger;
                ensure!(ledger.closes(), "the ledger does not close: {ledger:?}");
                performed
            })
        }
    }
}
