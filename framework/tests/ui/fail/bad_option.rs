// The derives say which options they have.

use mycelia::prelude::*;

#[derive(Message)]
#[message(response = String)]
struct Greet;

#[derive(Subsystem)]
#[subsystem(scheme = "api")]
struct Api;

fn main() {}
