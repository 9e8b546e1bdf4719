// A factory returns the subsystem itself.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

fn open() -> Api {
    Api
}

#[routes]
impl Api {
    #[started]
    fn check(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    #[route("greet")]
    async fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(open).await?;
    Ok(())
}
