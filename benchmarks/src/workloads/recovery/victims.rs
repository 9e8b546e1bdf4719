//! The victims: how an actor comes back, contender by contender.

use crate::contenders::{Actix, Kameo, MyceliaHandle, Ractor, Xtra};

use super::victim::{Blow, Ping, Victim, suffer};

/// actix: a panic ends the actor and drops its mailbox; `do_send` into it succeeds silently. Anyone who
/// finds it closed starts another.
mod actix_victim {
    use super::*;
    use crate::contenders::actix::on_arbiter;
    use actix::prelude::*;

    pub(crate) struct Body;

    impl Actor for Body {
        type Context = Context<Self>;
    }

    impl Handler<Blow> for Body {
        type Result = ();

        fn handle(&mut self, blow: Blow, _: &mut Self::Context) {
            suffer(blow);
        }
    }

    impl Handler<Ping> for Body {
        type Result = u64;

        fn handle(&mut self, _: Ping, _: &mut Self::Context) -> u64 {
            1
        }
    }

    impl Victim for Actix {
        type Hold = Addr<Body>;

        async fn rise(stage: &ArbiterHandle) -> anyhow::Result<Addr<Body>> {
            on_arbiter(stage, || Body.start()).await
        }

        async fn strike(hold: &Addr<Body>, blow: Blow) -> bool {
            hold.do_send(blow);
            true
        }

        async fn ping(stage: &ArbiterHandle, hold: &mut Addr<Body>) -> anyhow::Result<Option<u64>> {
            match hold.send(Ping).await {
                Ok(reply) => Ok(Some(reply)),
                Err(_) => {
                    *hold = Self::rise(stage).await?;
                    Ok(None)
                }
            }
        }
    }
}

/// kameo: `on_panic` says to go on; the mailbox stays.
mod kameo_victim {
    use super::*;
    use kameo::error::{Infallible, PanicError};
    use kameo::prelude::*;
    use std::ops::ControlFlow;
    use tokio::runtime::Handle;

    pub(crate) struct Body;

    impl Actor for Body {
        type Args = Self;
        type Error = Infallible;

        async fn on_start(body: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
            Ok(body)
        }

        async fn on_panic(
            &mut self,
            _: WeakActorRef<Self>,
            _: PanicError,
        ) -> Result<ControlFlow<ActorStopReason>, Infallible> {
            // Whatever the panic left half done is given up.
            *self = Body;
            Ok(ControlFlow::Continue(()))
        }
    }

    impl Message<Blow> for Body {
        type Reply = ();

        async fn handle(&mut self, blow: Blow, _: &mut Context<Self, ()>) {
            suffer(blow);
        }
    }

    impl Message<Ping> for Body {
        type Reply = u64;

        async fn handle(&mut self, _: Ping, _: &mut Context<Self, u64>) -> u64 {
            1
        }
    }

    impl Victim for Kameo {
        type Hold = ActorRef<Body>;

        async fn rise(stage: &Handle) -> anyhow::Result<ActorRef<Body>> {
            Ok(stage.spawn(async { Body::spawn(Body) }).await?)
        }

        async fn strike(hold: &ActorRef<Body>, blow: Blow) -> bool {
            hold.tell(blow).await.is_ok()
        }

        async fn ping(_: &Handle, hold: &mut ActorRef<Body>) -> anyhow::Result<Option<u64>> {
            Ok(hold.ask(Ping).await.ok())
        }
    }
}

/// ractor: a supervisor hears of the failure and starts another; the mailbox is gone.
mod ractor_victim {
    use super::*;
    use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, call, cast};
    use std::sync::{Arc, Mutex, PoisonError};
    use tokio::runtime::Handle;

    pub(crate) struct Body;

    pub(crate) enum Word {
        Blow(Blow),
        Ping(RpcReplyPort<u64>),
    }

    impl Actor for Body {
        type Msg = Word;
        type State = ();
        type Arguments = ();

        async fn pre_start(&self, _: ActorRef<Word>, _: ()) -> Result<(), ActorProcessingErr> {
            Ok(())
        }

        async fn handle(
            &self,
            _: ActorRef<Word>,
            word: Word,
            _: &mut (),
        ) -> Result<(), ActorProcessingErr> {
            match word {
                Word::Blow(blow) => suffer(blow),
                Word::Ping(reply) => reply.send(1)?,
            }
            Ok(())
        }
    }

    /// Where the supervisor leaves the one that lives.
    type Living = Arc<Mutex<Option<ActorRef<Word>>>>;

    struct Guardian;

    impl Guardian {
        async fn raise(myself: &ActorRef<()>, living: &Living) -> Result<(), ActorProcessingErr> {
            let (body, _) = Actor::spawn_linked(None, Body, (), myself.get_cell()).await?;
            *living.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
            Ok(())
        }
    }

    impl Actor for Guardian {
        type Msg = ();
        type State = Living;
        type Arguments = Living;

        async fn pre_start(
            &self,
            myself: ActorRef<()>,
            living: Living,
        ) -> Result<Living, ActorProcessingErr> {
            Guardian::raise(&myself, &living).await?;
            Ok(living)
        }

        async fn handle_supervisor_evt(
            &self,
            myself: ActorRef<()>,
            event: SupervisionEvent,
            living: &mut Living,
        ) -> Result<(), ActorProcessingErr> {
            if let SupervisionEvent::ActorFailed(..) = event {
                Guardian::raise(&myself, living).await?;
            }
            Ok(())
        }
    }

    fn now_living(living: &Living) -> Option<ActorRef<Word>> {
        living
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    impl Victim for Ractor {
        type Hold = (Living, ActorRef<()>);

        async fn rise(stage: &Handle) -> anyhow::Result<Self::Hold> {
            let living = Living::default();
            let argument = living.clone();
            let start = async move { Actor::spawn(None, Guardian, argument).await };
            let (guardian, _) = stage.spawn(start).await??;
            Ok((living, guardian))
        }

        async fn strike((living, _): &Self::Hold, blow: Blow) -> bool {
            now_living(living).is_some_and(|body| cast!(body, Word::Blow(blow)).is_ok())
        }

        async fn ping(_: &Handle, (living, _): &mut Self::Hold) -> anyhow::Result<Option<u64>> {
            match now_living(living) {
                Some(body) => Ok(call!(body, Word::Ping).ok()),
                None => Ok(None),
            }
        }
    }
}

/// xtra: the mailbox outlives the actor; a loop runs the next one on it.
mod xtra_victim {
    use super::*;
    use tokio::runtime::Handle;
    use xtra::prelude::*;

    #[derive(xtra::Actor)]
    pub(crate) struct Body;

    impl Handler<Blow> for Body {
        type Return = ();

        async fn handle(&mut self, blow: Blow, _: &mut Context<Self>) {
            suffer(blow);
        }
    }

    impl Handler<Ping> for Body {
        type Return = u64;

        async fn handle(&mut self, _: Ping, _: &mut Context<Self>) -> u64 {
            1
        }
    }

    impl Victim for Xtra {
        type Hold = Address<Body>;

        async fn rise(stage: &Handle) -> anyhow::Result<Address<Body>> {
            let (address, mailbox) = Mailbox::bounded(crate::contender::ROOM);
            stage.spawn(async move {
                while tokio::spawn(xtra::run(mailbox.clone(), Body))
                    .await
                    .is_err()
                {}
            });
            Ok(address)
        }

        async fn strike(hold: &Address<Body>, blow: Blow) -> bool {
            hold.send(blow).detach().await.is_ok()
        }

        async fn ping(_: &Handle, hold: &mut Address<Body>) -> anyhow::Result<Option<u64>> {
            Ok(hold.send(Ping).await.ok())
        }
    }
}

/// mycelia: the subsystem is restarted from its factory; its messages stay.
mod mycelia_victim {
    use super::*;
    use mycelia::Route;
    use mycelia::prelude::*;

    #[derive(Subsystem)]
    #[subsystem(name = "victim")]
    struct Body;

    #[routes]
    impl Body {
        #[route("blow")]
        fn blow(&mut self, blow: Blow) {
            suffer(blow);
        }

        #[route("ping")]
        fn ping(&mut self, _: Ping) -> u64 {
            1
        }
    }

    impl Victim for MyceliaHandle {
        type Hold = (Route<Blow>, Route<Ping>);

        async fn rise(stage: &System) -> anyhow::Result<Self::Hold> {
            stage.mount(|| Body).await?;
            Ok((stage.route("victim://blow")?, stage.route("victim://ping")?))
        }

        async fn strike((blows, _): &Self::Hold, blow: Blow) -> bool {
            blows.tell(blow).await.is_ok()
        }

        async fn ping(_: &System, (_, pings): &mut Self::Hold) -> anyhow::Result<Option<u64>> {
            Ok(pings.ask(Ping).await.ok())
        }
    }
}
