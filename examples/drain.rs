//! A server in front of a system, and how both are stopped: first the server stops to accept connections and
//! answers the requests that it has, while messages still flow; then the system is stopped.
//!
//! `cargo run --example drain` runs a client that sends a request just before the stop.

use std::time::Duration;

use mycelia::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

#[derive(Message)]
#[message(reply = String)]
struct Greet(String);

#[derive(Subsystem, Default)]
struct Greeter {
    visits: u64,
}

#[routes]
impl Greeter {
    #[route("greet")]
    async fn greet(&mut self, Greet(name): Greet) -> String {
        // Something that takes a while.
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.visits += 1;
        format!("hello, {name}; visit {}", self.visits)
    }
}

/// Answers the one line of a connection.
async fn answer(mut connection: TcpStream, system: System) -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new(&mut connection).read_line(&mut line).await?;
    let greeting = system
        .ask("greeter://greet", Greet(line.trim().into()))
        .await?;
    connection.write_all(greeting.as_bytes()).await?;
    Ok(())
}

// ANCHOR: server
/// Accepts connections until it is told to close; returns when all that it has accepted are answered.
async fn serve(listener: TcpListener, system: System, mut close: oneshot::Receiver<()>) {
    // Every connection holds one; the last that is dropped ends the wait below.
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    loop {
        let connection = tokio::select! {
            Ok((connection, _)) = listener.accept() => connection,
            _ = &mut close => break,
        };
        let (system, open) = (system.clone(), open.clone());
        tokio::spawn(async move {
            if let Err(error) = answer(connection, system).await {
                eprintln!("not answered: {error}");
            }
            drop(open);
        });
    }
    drop((listener, open));
    all_closed.recv().await;
}

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let (close, closes) = oneshot::channel();
    let (drained, is_drained) = oneshot::channel::<()>();
    let system = System::builder()
        .threads(1)
        .before_stop(async move |_| {
            let _ = close.send(());
            // The server's end, or that it has panicked.
            let _ = is_drained.await;
        })
        .start()
        .await?;
    system.mount(Greeter::default).await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = serve(listener, system.clone(), closes);
    let server = tokio::spawn(async move {
        server.await;
        drop(drained);
    });
    // ANCHOR_END: server

    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"ada\n").await?;
    // The server has the request; its answer takes longer than this.
    while system.snapshot().total.sent == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let report = system.stop().await?;
    let mut greeting = String::new();
    BufReader::new(client).read_line(&mut greeting).await?;
    println!("{greeting}");
    println!("{report}");
    server.await?;
    assert_eq!(greeting, "hello, ada; visit 1");
    assert!(report.before_stop.is_empty());
    let greeter = report
        .snapshot
        .subsystem("greeter")
        .expect("mounted until the stop");
    assert_eq!(greeter.ledger.handled, 1);
    Ok(())
}
