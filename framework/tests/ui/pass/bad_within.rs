// The time that a handler has is a number and a unit, and only a handler that awaits can be cut off.

use mycelia::prelude::*;

#[derive(Message)]
struct Fetch;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("a", within = "2s")]
    async fn a(&mut self, _: Fetch) {}

    #[route("b", within = "1ms")]
    async fn b(&mut self, _: Fetch) {}

    #[route("c", within = "10m")]
    async fn c(&mut self, _: Fetch, _reply: Reply<Fetch>) {}

    #[route("e")]
    fn e(&mut self, _: Fetch) {}

    #[route("f", blocking)]
    fn f(&mut self, _: Fetch) {}
}

fn main() {
    let _ = Api;
}
