// The crate's path is written without quotes.

use mycelia::prelude::*;

mod parts {
    pub use mycelia as actors;
}

#[derive(Message)]
#[message(crate = crate::parts::actors)]
struct Ping;

fn main() {}
