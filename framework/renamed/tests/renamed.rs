//! The macros write code that finds mycelia where `crate = …` says, under any name and at any depth.

use fungus::extract::Path;
use fungus::observe::EndReason;
use fungus::supervise::Failure;
use fungus::{Context, System};

mycelia_renamed::echo!(Echo, "echo", Number);

#[derive(fungus::Message)]
#[message(reply = String, priority = low, crate = fungus)]
struct Greet;

#[derive(fungus::Message)]
#[message(crate = mycelia_renamed::parts::actors)]
struct Put<T>(T);

#[derive(fungus::Subsystem, Default)]
#[subsystem(crate = ::fungus)]
struct Api {
    calls: u64,
}

#[fungus::routes(crate = fungus)]
impl Api {
    #[fungus::route("users/{id}")]
    async fn greet(&mut self, _: Greet, Path(id): Path<u64>) -> anyhow::Result<String> {
        self.calls += 1;
        Ok(format!("user {id}, call {}", self.calls))
    }

    #[fungus::started]
    fn begin(&mut self, _: Context) {}

    #[fungus::restarting]
    fn again(&mut self, _: Failure) {}

    #[fungus::stopped]
    fn end(&mut self, _: EndReason) -> anyhow::Result<()> {
        Ok(())
    }
}

#[derive(fungus::Subsystem)]
#[subsystem(name = "shelf", crate = mycelia_renamed::parts::actors)]
struct Shelf<T: 'static>(Vec<T>);

#[fungus::routes(crate = mycelia_renamed::parts::actors)]
impl<T: Send + 'static> Shelf<T> {
    #[mycelia_renamed::parts::actors::route("put/{place}", blocking)]
    fn put(&mut self, Put(thing): Put<T>, Path(_place): Path<u64>) {
        self.0.push(thing);
    }
}

#[fungus::test(crate = fungus)]
async fn every_macro_finds_the_crate_by_the_path_that_it_is_told() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(Api::default).await?;
    system.mount(|| Echo).await?;
    system.mount(|| Shelf(Vec::<u8>::new())).await?;
    assert_eq!(system.ask("api://users/7", Greet).await?, "user 7, call 1");
    assert_eq!(system.ask("echo://echo", Number(9)).await?, 9);
    system.ask("shelf://put/1", Put(1u8)).await?;
    system.stop().await?;
    Ok(())
}

#[test]
fn an_entry_point_finds_it_too() {
    #[fungus::main(crate = mycelia_renamed::parts::actors)]
    async fn main() -> u8 {
        5
    }

    assert_eq!(main(), 5);
}
