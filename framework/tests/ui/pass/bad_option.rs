// The derives say which options they have.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
#[subsystem(name = "api")]
struct Api;

fn main() {
    let _ = (Greet, Api);
}
