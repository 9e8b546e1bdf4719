// `#[routes]` goes on an `impl` block.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[routes]
#[derive(Subsystem)]
struct Api;

fn main() {}
