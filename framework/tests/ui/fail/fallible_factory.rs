// A factory returns the subsystem itself.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

fn open() -> anyhow::Result<Api> {
    Ok(Api)
}

#[routes]
impl Api {
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
