//! Run with `cargo run --example layers`
//!
//! What stands between a sender and a route: a rate limit, a circuit breaker, retries, and a layer of one's own.

use mycelia::prelude::*;
use mycelia_layers::{
    CircuitBreaker, CircuitState, Layer, Next, Outcome, RateLimit, Retry, RouteExt, Timeout,
};
use std::sync::Arc;
use std::time::Duration;

#[derive(Message)]
#[message(reply = u64)]
struct Charge(u64);

/// How many charges were made.
#[derive(Message)]
#[message(reply = u64)]
struct Count;

#[derive(Subsystem, Default)]
struct Billing {
    charges: u64,
}

#[routes]
impl Billing {
    #[route("charge")]
    fn charge(&mut self, Charge(cents): Charge) -> u64 {
        assert!(cents != 13, "unlucky");
        self.charges += 1;
        cents
    }

    #[route("count")]
    fn count(&mut self, _: Count) -> u64 {
        self.charges
    }
}

// ANCHOR: own
/// Refuses charges above a limit.
struct AtMost(u64);

impl Layer<Charge> for AtMost {
    async fn call(&self, message: Charge, next: Next<'_, Charge>) -> Outcome<Charge> {
        match message.0 <= self.0 {
            true => next.run(message).await,
            // It will not pass, however long its sender waits.
            false => next.refuse(message, Duration::MAX),
        }
    }
}
// ANCHOR_END: own

#[mycelia::main]
async fn main() -> anyhow::Result<()> {
    let system = System::builder().start().await?;

    // ANCHOR: admission
    // At most 100 charges a second, whoever sends them; 20 may come at once.
    let limit = RateLimit::per_second(100).burst(20);
    let options = MountOptions::new().admission("charge", limit);
    system.mount_with(options, Billing::default).await?;
    // ANCHOR_END: admission

    let mut refused = None;
    for _ in 0..1000 {
        if let Err(undelivered) = system.try_tell("billing://charge", Charge(5)) {
            refused = Some(undelivered);
            break;
        }
    }
    let refused = refused.expect("a thousand at once are too many");
    println!("{refused}");
    let retry_after = refused.reason().retry_after().expect("it says when");
    assert!(retry_after <= Duration::from_millis(10));

    // ANCHOR: layers
    let breaker = Arc::new(CircuitBreaker::new().failures(2));
    let charge = system
        .route::<Charge>("billing://charge")?
        .layer(Timeout::new(Duration::from_secs(5)))
        .layer(Retry::new().times(10))
        .layer(AtMost(1_000))
        .layer(breaker.clone());
    // ANCHOR_END: layers

    // The route's limit refuses some of these, and they are sent again: each is handled once.
    let before = system.ask("billing://count", Count).await?;
    for cents in 20..40 {
        assert_eq!(charge.ask(Charge(cents)).await?, cents);
    }
    assert_eq!(system.ask("billing://count", Count).await?, before + 20);

    let error = charge.ask(Charge(2_000)).await.unwrap_err();
    println!("{error}");
    assert!(error.to_string().contains("`AtMost` refused it"));

    // Two panics in a row open the breaker; it refuses the third.
    for _ in 0..2 {
        let failed = charge.ask(Charge(13)).await;
        assert!(matches!(failed, Err(AskError::Panicked { .. })));
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    let error = charge.route().clone().layer(breaker).ask(Charge(7)).await;
    println!("{}", error.unwrap_err());

    // ANCHOR: counts
    for layer in charge.counts() {
        println!(
            "{}: {} came, passed on {} times, {} refused",
            layer.name, layer.calls, layer.passed, layer.refused
        );
    }
    // ANCHOR_END: counts
    let counts = charge.counts();
    assert_eq!((counts[1].name, counts[1].calls), ("Retry", 23));
    assert!(counts[1].passed > 23, "some were sent again");
    assert_eq!(counts[2].refused, 1);

    let report = system.stop().await?;
    assert_eq!(
        report.ledger.sent,
        report.ledger.handled + report.ledger.failed
    );
    Ok(())
}
