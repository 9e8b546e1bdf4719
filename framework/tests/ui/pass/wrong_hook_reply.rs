// No one is there to take what a hook returns, but for an error.

use mycelia::prelude::*;

#[derive(Message)]
struct Ping;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[started]
    async fn open(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    #[route("ping")]
    fn ping(&mut self, _: Ping) {}
}

fn main() {
    let _ = Api;
}
