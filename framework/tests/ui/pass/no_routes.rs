// A subsystem has routes when it is mounted.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    fn greet(&mut self, _: Greet) -> String {
        String::new()
    }
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(|| Api).await?;
    Ok(())
}
