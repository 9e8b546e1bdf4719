//! Any bytes may come as a path: a send never panics, and what is not accepted comes home.

use std::sync::OnceLock;

use crate::common::on_no_executor;
use mycelia::prelude::*;
use proptest::prelude::*;

#[derive(Message, Debug, PartialEq)]
struct Parcel(Vec<u8>);

#[derive(Subsystem, Default)]
struct Post;

#[routes]
impl Post {
    #[route("")]
    fn root(&mut self, _: Parcel) {}

    #[route("numbers/{n}")]
    fn number(&mut self, _: Parcel, Path(_): Path<i16>) {}

    #[route("texts/{a}/{b}")]
    fn text(&mut self, _: Parcel, Path(_): Path<String>, Path(_): Path<char>) {}

    #[route("rest/{*rest}")]
    fn rest(&mut self, _: Parcel, Path(_): Path<String>, _: Query) {}
}

fn system() -> &'static System {
    static SYSTEM: OnceLock<System> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        on_no_executor(async {
            let system = System::builder().threads(1).start().await.unwrap();
            system.mount(Post::default).await.unwrap();
            system
        })
    })
}

/// Sends to the bytes; if they are refused, the very parcel comes back.
fn send_to(path: &[u8]) {
    let sent = (0..=255).collect::<Vec<u8>>();
    match system().try_tell(path, Parcel(sent.clone())) {
        Ok(()) => {}
        Err(undelivered) => {
            let text = undelivered.to_string();
            assert!(!text.is_empty() && *undelivered.reason() != SendError::Stopped);
            assert_eq!(undelivered.into_message(), Parcel(sent));
        }
    }
}

/// Bytes that are, or nearly are, a path of the subsystem.
fn near_paths() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"post".to_vec()),
        Just(b"://".to_vec()),
        Just(b"/".to_vec()),
        Just(b"?".to_vec()),
        Just(b"#".to_vec()),
        Just(b"%".to_vec()),
        Just(b"%41".to_vec()),
        Just(b"%ff".to_vec()),
        Just(b"%00".to_vec()),
        Just(b"numbers/".to_vec()),
        Just(b"texts/".to_vec()),
        Just(b"rest/".to_vec()),
        Just(b"{n}".to_vec()),
        Just(b"-32768".to_vec()),
        Just("ä".as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    (any::<bool>(), proptest::collection::vec(piece, 0..12)).prop_map(|(whole, pieces)| {
        let start: &[u8] = if whole { b"post://" } else { b"" };
        [start, &pieces.concat()].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_as_a_path_are_refused_or_accepted_without_a_panic(
        path in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        send_to(&path);
    }

    #[test]
    fn bytes_that_are_nearly_a_path_are_refused_or_accepted_without_a_panic(path in near_paths()) {
        send_to(&path);
    }

    #[test]
    fn any_text_resolves_to_a_handle_or_to_an_error(text in "(post://)?[ -~ä]{0,40}") {
        let _ = system().route::<Parcel>(&text);
        send_to(text.as_bytes());
    }
}

#[test]
fn very_long_paths_are_refused() {
    for len in [1_000, 10_000, 1_000_000] {
        send_to(&[b"post://rest/".as_slice(), &vec![b'x'; len]].concat());
        send_to(&[b"post://rest".as_slice(), &b"/x".repeat(len)].concat());
        send_to(&b"%41".repeat(len));
    }
}
