//! What the endpoint says is what the snapshot says, in a form that Prometheus takes.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use mycelia::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Message)]
#[message(reply = u64)]
struct Divide(u64, u64);

#[derive(Subsystem, Default)]
struct Calculator;

#[routes]
impl Calculator {
    #[route("divide/{by}")]
    fn divide(&mut self, Divide(n, by): Divide, Path(_): Path<u64>) -> anyhow::Result<u64> {
        n.checked_div(by).ok_or_else(|| anyhow::anyhow!("by zero"))
    }
}

/// A system whose name has to be escaped, after some messages.
async fn system() -> System {
    let system = System::builder().name("of \"many\"\nkinds");
    let system = system.start().await.unwrap();
    for name in ["one", "two"] {
        let options = MountOptions::new().name(name);
        system
            .mount_with(options, Calculator::default)
            .await
            .unwrap();
        for by in 0..5 {
            let path = format!("{name}://divide/{by}");
            let _ = system.ask(path, Divide(20, by)).await;
        }
    }
    system
}

/// The samples of a text: name with labels, and value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

async fn request(address: std::net::SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

#[mycelia::test]
async fn the_figures_are_the_snapshot_s() {
    let system = system().await;
    let snapshot = system.snapshot();
    let samples = samples(&mycelia_observe::prometheus(&snapshot));
    let of = |name: &str, labels: &str| {
        let name = format!("{name}{{system=\"of \\\"many\\\"\\nkinds\"{labels}}}");
        *samples
            .get(&name)
            .unwrap_or_else(|| panic!("{name}: {samples:#?}"))
    };
    assert_eq!(of("mycelia_messages_sent_total", ""), 10.0);
    assert_eq!(
        of("mycelia_messages_ended_total", ",outcome=\"handled\""),
        8.0
    );
    assert_eq!(
        of("mycelia_messages_ended_total", ",outcome=\"failed\""),
        2.0
    );
    assert_eq!(of("mycelia_messages_waiting", ""), 0.0);
    let kind = std::any::type_name::<Calculator>();
    assert_eq!(of("mycelia_subsystems", &format!(",kind=\"{kind}\"")), 2.0);
    // Two subsystems, one set of series.
    let labels = format!(",kind=\"{kind}\",route=\"divide/{{by}}\"");
    let read = snapshot.kind::<Calculator>().unwrap().routes[0]
        .buckets
        .as_ref()
        .unwrap();
    for (name, buckets) in [
        ("mycelia_message_wait_seconds", &read.wait),
        ("mycelia_message_service_seconds", &read.service),
        ("mycelia_message_duration_seconds", &read.total),
    ] {
        assert_eq!(of(&format!("{name}_count"), &labels), 10.0);
        assert_eq!(
            of(&format!("{name}_bucket"), &format!("{labels},le=\"+Inf\"")),
            10.0
        );
        assert_eq!(
            of(&format!("{name}_sum"), &labels),
            buckets.sum_ns as f64 / 1e9
        );
        let counts: Vec<u64> = buckets.buckets.iter().map(|bucket| bucket.count).collect();
        assert!(counts.is_sorted() && counts.last() <= Some(&10));
    }
    system.stop().await.unwrap();
}

#[mycelia::test]
async fn the_endpoint_answers_and_outlives_nonsense_and_the_system() {
    let system = system().await;
    let server = mycelia_observe::serve(&system, "127.0.0.1:0")
        .await
        .unwrap();
    let answer = request(server.address(), &get("/metrics")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains(mycelia_observe::CONTENT_TYPE), "{head}");
    assert!(samples(body).len() > 20);
    let answer = request(server.address(), &get("/other")).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let post = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let answer = request(server.address(), post).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    request(server.address(), "nonsense\r\n\r\n").await;
    system.stop().await.unwrap();
    // The last figures, for as long as the system is there.
    let answer = request(server.address(), &get("/metrics")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(system);
    let answer = request(server.address(), &get("/metrics")).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let address = server.address();
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[mycelia::test]
async fn promtool_finds_nothing_wrong() {
    let system = system().await;
    let text = mycelia_observe::prometheus(&system.snapshot());
    system.stop().await.unwrap();
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        return println!("SKIPPED: there is no promtool here; Debian has it in `prometheus`");
    };
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success(), "{said:?}\n{text}");
}
