// `main` is async and takes nothing.

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    Ok(())
}
