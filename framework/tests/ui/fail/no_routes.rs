// A subsystem has routes when it is mounted.

use mycelia::prelude::*;

#[derive(Subsystem)]
struct Api;

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().start().await?;
    system.mount(|| Api).await?;
    Ok(())
}
