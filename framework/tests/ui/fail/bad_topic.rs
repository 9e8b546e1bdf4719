// A topic has a name, a pattern that its handler's arguments fit, and known options.

use mycelia::prelude::*;

#[derive(Message, Clone)]
struct Placed;

#[derive(Subsystem)]
struct Billing;

#[routes]
impl Billing {
    #[subscribe("placed/{id}")]
    fn nameless(&mut self, _: Placed, Path(_): Path<u64>) {}

    #[subscribe("orders://placed/{id")]
    fn open(&mut self, _: Placed, Path(_): Path<u64>) {}

    #[subscribe("orders://placed", every)]
    fn optional(&mut self, _: Placed) {}

    #[subscribe("orders://paid/{id}")]
    fn answering(&mut self, _: Placed, _: Reply<Placed>) {}

    #[subscribe("orders://sent")]
    fn capturing(&mut self, _: Placed, Path(_): Path<u64>) {}
}

fn main() {}
