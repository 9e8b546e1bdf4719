// The crate's path is written without quotes.

use mycelia::prelude::*;

#[derive(Message)]
#[message(crate = mycelia)]
struct Ping;

fn main() {}
