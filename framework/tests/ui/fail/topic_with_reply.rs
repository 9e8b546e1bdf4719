// No one waits for an answer to what is published.

use mycelia::prelude::*;

#[derive(Message, Clone)]
#[message(reply = u64)]
struct Placed;

#[derive(Subsystem)]
struct Billing;

#[routes]
impl Billing {
    #[subscribe("orders://placed")]
    fn bill(&mut self, _: Placed) {}
}

fn main() {}
