use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("greet")]
    fn greet(&mut self, _: Greet, reply: Reply<Greet>) {
        reply.send("hello".into());
    }

    #[route("block", blocking)]
    fn block(&mut self, _: Greet) -> String {
        "hello".into()
    }
}

fn main() {}
