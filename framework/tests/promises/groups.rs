//! Promise: what is sent to a group goes to its members in turn, to all, or to the first that answers, and each
//! message has its own end.

use mycelia::error::{AskError, SendError};
use mycelia::prelude::*;

#[derive(Message, Clone)]
#[message(reply = &'static str)]
struct Who(bool);

#[derive(Subsystem)]
struct Member(&'static str);

#[routes]
impl Member {
    #[route("who")]
    fn who(&mut self, Who(all_answer): Who) -> anyhow::Result<&'static str> {
        anyhow::ensure!(all_answer || self.0 == "b", "not me");
        Ok(self.0)
    }
}

async fn system() -> System {
    let system = System::builder().threads(2).start().await.unwrap();
    for name in ["a", "b", "c"] {
        let options = MountOptions::new().name(name);
        system
            .mount_with(options, move || Member(name))
            .await
            .unwrap();
    }
    system
}

const ALL: [&str; 3] = ["a://who", "b://who", "c://who"];

#[mycelia::test]
async fn messages_go_to_the_members_in_turn_and_pass_over_those_that_have_ended() {
    let system = system().await;
    let group = system.group::<Who>(ALL).unwrap();
    let mut said = Vec::new();
    for _ in 0..6 {
        said.push(group.ask(Who(true)).await.unwrap());
    }
    assert_eq!(said, ["a", "b", "c", "a", "b", "c"]);
    system.unmount("b").await.unwrap();
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(group.ask(Who(true)).await.unwrap());
        group.tell(Who(true)).await.unwrap();
    }
    assert!(!said.contains(&"b"), "{said:?}");
    for name in ["a", "c"] {
        system.unmount(name).await.unwrap();
    }
    let refused = group.tell(Who(true)).await.unwrap_err();
    assert!(matches!(refused.reason(), SendError::Closed { .. }));
    assert!(refused.into_message().0);
    let report = system.stop().await.unwrap();
    assert_eq!((report.ledger.sent, report.ledger.handled), (12, 12));
}

#[mycelia::test]
async fn all_get_theirs_and_the_results_stand_in_the_order_of_the_routes() {
    let system = system().await;
    let group = system.group::<Who>(ALL).unwrap();
    let all: Vec<_> = group.ask_all(Who(true)).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all, ["a", "b", "c"]);
    assert!(group.tell_all(Who(true)).await.iter().all(Result::is_ok));
    let some = group.ask_all(Who(false)).await;
    assert!(some[0].is_err() && some[1].is_ok() && some[2].is_err());
    let report = system.stop().await.unwrap();
    assert_eq!((report.ledger.handled, report.ledger.failed), (7, 2));
}

#[mycelia::test]
async fn the_first_reply_counts_and_an_error_only_if_no_one_replies() {
    let system = system().await;
    let group = system.group::<Who>(ALL).unwrap();
    assert_eq!(group.ask_first(Who(false)).await.unwrap(), "b");
    let others = system.group::<Who>(["a://who", "c://who"]).unwrap();
    let failed = others.ask_first(Who(false)).await.unwrap_err();
    assert!(matches!(failed, AskError::Failed(_)), "{failed:?}");
    let ledger = system.stop().await.unwrap().ledger;
    assert_eq!((ledger.sent, ledger.waiting), (5, 0));
}

#[mycelia::test]
async fn a_group_of_none_or_with_a_wrong_member_is_refused() {
    let system = system().await;
    let none = system.group::<Who>(Vec::<String>::new()).unwrap_err();
    assert!(matches!(none, SendError::BadSetting { .. }), "{none}");
    let wrong = system.group::<Who>(["a://who", "d://who"]).unwrap_err();
    assert!(matches!(wrong, SendError::NoSubsystem { .. }), "{wrong}");
    system.stop().await.unwrap();
}
