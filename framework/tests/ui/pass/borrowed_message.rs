// A message crosses threads: it owns what it holds.

use mycelia::prelude::*;

#[derive(Message)]
struct Borrows(String);

#[derive(Message)]
struct Shares(std::sync::Arc<str>);

fn main() {
    let _ = (Borrows(String::new()).0, Shares("".into()).0);
}
