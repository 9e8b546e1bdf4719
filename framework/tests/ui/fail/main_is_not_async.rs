// `main` is async and takes nothing.

#[mycelia::main]
fn main() -> anyhow::Result<()> {
    Ok(())
}
