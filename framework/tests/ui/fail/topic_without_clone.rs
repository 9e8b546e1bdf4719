// What is published is cloned, once for each subscriber.

use mycelia::prelude::*;

#[derive(Message)]
struct Placed;

#[derive(Subsystem)]
struct Billing;

#[routes]
impl Billing {
    #[subscribe("orders://placed")]
    fn bill(&mut self, _: Placed) {}
}

fn main() {}
