use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Message)]
#[message(reply = u64)]
struct Count;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    fn greet(&mut self, _: Greet, reply: Reply<Greet>) {
        reply.send("hello".into());
    }
}

fn main() {}
