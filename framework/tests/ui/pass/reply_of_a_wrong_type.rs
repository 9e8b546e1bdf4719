use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    async fn greet(&mut self, _: Greet, reply: Reply<Greet>) {
        reply.send(7_u64.to_string());
    }
}

fn main() {}
