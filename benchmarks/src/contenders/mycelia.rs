//! mycelia: by resolved handle, by the text of a path, and by handle with stamps that messages share.
//!
//! It does its whole work in all: pooled envelopes, ledger, supervision, and wait and service recorded
//! for every message. On one thread the script runs inside a handler of a subsystem that is mounted
//! beside the counting ones.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use futures_util::future::BoxFuture;
use mycelia::Route;
use mycelia::observe::Stamps;
use mycelia::prelude::*;
use tokio::sync::oneshot;

use crate::contender::{self, ByName, Contender, Threads, YIELDS_AFTER, tokio_stage};
use crate::tally::{Add, Aside, Ask, Take, Tally};

/// mycelia, by resolved handle.
#[derive(Debug)]
pub struct MyceliaHandle;

/// mycelia, by the text of a path with a capture.
#[derive(Debug)]
pub struct MyceliaPath;

/// mycelia, by resolved handle, where messages share readings of the clock.
#[derive(Debug)]
pub struct MyceliaShared;

/// Paths that a sender by path goes through.
const PATHS: usize = 1000;

#[derive(Subsystem, Default)]
#[subsystem(name = "counter")]
struct Counter(Tally);

#[routes]
impl Counter {
    #[route("add")]
    fn add(&mut self, Add(n): Add) {
        self.0.add(n);
    }

    #[route("users/{id}")]
    fn add_user(&mut self, Add(n): Add, Path(id): Path<u64>) {
        std::hint::black_box(id);
        self.0.add(n);
    }

    #[route("aside")]
    fn aside(&mut self, aside: Aside) {
        self.0.aside(aside);
    }

    #[route("ask")]
    fn ask(&mut self, Ask(n): Ask) -> u64 {
        self.0.ask(n)
    }

    #[route("ask/{id}")]
    fn ask_user(&mut self, Ask(n): Ask, Path(id): Path<u64>) -> u64 {
        std::hint::black_box(id);
        self.0.ask(n)
    }

    #[route("take")]
    fn take(&mut self, _: Take) -> Tally {
        self.0.take()
    }
}

/// What runs a script on the thread of the subsystems.
#[derive(Subsystem, Default)]
#[subsystem(name = "driver")]
struct Driver;

#[derive(Message)]
struct Drive(Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>);

#[routes]
impl Driver {
    /// As with the others, the script is a task on the receivers' thread, not one of them.
    #[route("drive")]
    fn drive(&mut self, Drive(script): Drive) {
        actix_rt::spawn(script());
    }
}

/// Handles to a counting subsystem.
#[derive(Clone, Debug)]
pub struct ByHandle {
    add: Route<Add>,
    aside: Route<Aside>,
    ask: Route<Ask>,
    take: Route<Take>,
}

impl contender::Address for ByHandle {
    const YIELDS_AFTER: Option<u64> = Some(YIELDS_AFTER);

    async fn tell(&self, n: u64) {
        self.add.tell(Add(n)).await.expect("accepted");
    }

    async fn aside(&self, aside: Aside) {
        self.aside.tell(aside).await.expect("accepted");
    }

    async fn ask(&self, n: u64) -> u64 {
        self.ask.ask(Ask(n)).await.expect("answered")
    }

    async fn take(&self) -> Tally {
        self.take.ask(Take).await.expect("answered")
    }
}

/// The texts of a counting subsystem's paths.
#[derive(Clone, Debug)]
pub struct ByPath {
    system: System,
    users: Arc<[String]>,
    asks: Arc<[String]>,
    aside: Arc<str>,
    take: Arc<str>,
}

impl contender::Address for ByPath {
    const YIELDS_AFTER: Option<u64> = Some(YIELDS_AFTER);

    async fn tell(&self, n: u64) {
        let path = self.users[n as usize % self.users.len()].as_str();
        self.system.tell(path, Add(n)).await.expect("accepted");
    }

    async fn aside(&self, aside: Aside) {
        let sent = self.system.tell(&*self.aside, aside).await;
        sent.expect("accepted");
    }

    async fn ask(&self, n: u64) -> u64 {
        let path = self.asks[n as usize % self.asks.len()].as_str();
        self.system.ask(path, Ask(n)).await.expect("answered")
    }

    async fn take(&self) -> Tally {
        self.system.ask(&*self.take, Take).await.expect("answered")
    }
}

/// Runs a script on a system of one thread, and closes the books.
///
/// # Errors
/// Those of the script; books that do not close.
pub fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
where
    R: Send + 'static,
    F: FnOnce(System) -> Fut + Send + 'static,
    Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
{
    play_with(Stamps::Own, threads, script)
}

fn play_with<R, F, Fut>(stamps: Stamps, threads: Threads, script: F) -> anyhow::Result<R>
where
    R: Send + 'static,
    F: FnOnce(System) -> Fut + Send + 'static,
    Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
{
    tokio_stage::run_here(async move {
        let builder = System::builder().threads(1).stamps(stamps);
        let system = builder.start().await?;
        let stage = system.clone();
        let result = match threads {
            Threads::One => {
                system.mount_on(0, Driver::default).await?;
                let (done, dones) = oneshot::channel();
                let run = move || -> BoxFuture<'static, ()> {
                    Box::pin(async move { drop(done.send(script(stage).await)) })
                };
                system.tell("driver://drive", Drive(Box::new(run))).await?;
                dones.await.context("a script panicked")?
            }
            Threads::Two => script(stage).await,
        };
        let report = system.stop().await?;
        let result = result?;
        let ledger = report.ledger;
        ensure!(
            ledger.closes() && ledger.is_quiet(),
            "the ledger does not close: {ledger:?}"
        );
        Ok(result)
    })
}

async fn mount(system: &System, count: usize, kind: &str) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = (0..count).map(|i| format!("{kind}-{i}")).collect();
    mount_all(system, &names).await?;
    Ok(names)
}

async fn mount_all(system: &System, names: &[String]) -> anyhow::Result<()> {
    let options = |name: &String| MountOptions::new().thread(0).name(name.as_str());
    let each = names.iter().map(options);
    system.mount_all(each, Counter::default).await?;
    Ok(())
}

async fn ask_idle(system: &System, name: &str) -> anyhow::Result<u64> {
    Ok(system.ask(format!("{name}://ask").as_str(), Ask(1)).await?)
}

impl Contender for MyceliaHandle {
    const NAME: &'static str = "mycelia";
    const PACKAGE: &'static str = "mycelia";

    type Stage = System;
    type Address = ByHandle;
    type Idle = String;

    fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Self::Stage) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
    {
        play(threads, script)
    }

    async fn start(stage: &System, count: usize) -> anyhow::Result<Vec<ByHandle>> {
        let names = mount(stage, count, "counter").await?;
        let handle = |name: &String| {
            Ok(ByHandle {
                add: stage.route(format!("{name}://add"))?,
                aside: stage.route(format!("{name}://aside"))?,
                ask: stage.route(format!("{name}://ask"))?,
                take: stage.route(format!("{name}://take"))?,
            })
        };
        names.iter().map(handle).collect()
    }

    async fn start_idle(stage: &System, count: usize) -> anyhow::Result<Vec<String>> {
        mount(stage, count, "idle").await
    }

    async fn ask_idle(stage: &System, idle: &String) -> anyhow::Result<u64> {
        ask_idle(stage, idle).await
    }
}

impl Contender for MyceliaShared {
    const NAME: &'static str = "mycelia-shared-stamps";
    const PACKAGE: &'static str = "mycelia";

    type Stage = System;
    type Address = ByHandle;
    type Idle = String;

    fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Self::Stage) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
    {
        play_with(Stamps::Shared, threads, script)
    }

    async fn start(stage: &System, count: usize) -> anyhow::Result<Vec<ByHandle>> {
        MyceliaHandle::start(stage, count).await
    }

    async fn start_idle(stage: &System, count: usize) -> anyhow::Result<Vec<String>> {
        MyceliaHandle::start_idle(stage, count).await
    }

    async fn ask_idle(stage: &System, idle: &String) -> anyhow::Result<u64> {
        ask_idle(stage, idle).await
    }
}

impl Contender for MyceliaPath {
    const NAME: &'static str = "mycelia-path";
    const PACKAGE: &'static str = "mycelia";

    type Stage = System;
    type Address = ByPath;
    type Idle = String;

    fn play<R, F, Fut>(threads: Threads, script: F) -> anyhow::Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Self::Stage) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<R>> + Send + 'static,
    {
        play(threads, script)
    }

    async fn start(stage: &System, count: usize) -> anyhow::Result<Vec<ByPath>> {
        let names = mount(stage, count, "counter").await?;
        let paths = if count == 1 { PATHS } else { 1 };
        let texts = |name: &String| ByPath {
            system: stage.clone(),
            users: (0..paths).map(|i| format!("{name}://users/{i}")).collect(),
            asks: (0..paths).map(|i| format!("{name}://ask/{i}")).collect(),
            aside: format!("{name}://aside").into(),
            take: format!("{name}://take").into(),
        };
        Ok(names.iter().map(texts).collect())
    }

    async fn start_idle(stage: &System, count: usize) -> anyhow::Result<Vec<String>> {
        mount(stage, count, "idle").await
    }

    async fn ask_idle(stage: &System, idle: &String) -> anyhow::Result<u64> {
        ask_idle(stage, idle).await
    }
}

impl ByName for MyceliaPath {
    type Directory = System;

    async fn start_named(stage: &System, names: &[String]) -> anyhow::Result<System> {
        mount_all(stage, names).await?;
        Ok(stage.clone())
    }

    fn text(name: &str) -> String {
        format!("{name}://add")
    }

    async fn tell_named(directory: &System, text: &str, n: u64) {
        directory.tell(text, Add(n)).await.expect("accepted");
    }

    async fn take_named(directory: &System, name: &str) -> Tally {
        let path = format!("{name}://take");
        directory.ask(path.as_str(), Take).await.expect("answered")
    }
}

/// A handle resolved for every message: what one should not do.
impl ByName for MyceliaHandle {
    type Directory = System;

    async fn start_named(stage: &System, names: &[String]) -> anyhow::Result<System> {
        MyceliaPath::start_named(stage, names).await
    }

    fn text(name: &str) -> String {
        MyceliaPath::text(name)
    }

    async fn tell_named(directory: &System, text: &str, n: u64) {
        let route = directory.route::<Add>(text).expect("known");
        route.tell(Add(n)).await.expect("accepted");
    }

    async fn take_named(directory: &System, name: &str) -> Tally {
        MyceliaPath::take_named(directory, name).await
    }
}
