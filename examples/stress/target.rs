//! Targets: where message number `n` goes, and what must come of it.
//!
//! Even numbers go to `api://users/{id}`, odd ones to `db://query`; ids run through 0 to 999.

use mycelia::Route;
use mycelia::prelude::*;

use crate::plan::Addressing;
use crate::subsystems::{Data, GetUser, Search, WarmUp, mark};

pub(crate) const IDS: u64 = 1000;
pub(crate) const USERS: &str = "api://users/{id}";
pub(crate) const QUERY: &str = "db://query";

/// How messages are addressed.
pub(crate) enum Target {
    /// By path, as text, every time. The texts are made beforehand: `format!` would be measured, and
    /// allocate, otherwise.
    Textual { system: System, users: Vec<String> },
    /// By handles, resolved once.
    Typed {
        users: Route<GetUser>,
        query: Route<Search>,
    },
}

/// A message as its sender sees it.
pub(crate) struct Numbered {
    number: u64,
    id: u64,
    data: Data,
}

impl Numbered {
    #[inline]
    pub(crate) fn new(number: u64) -> Self {
        let id = (number / 2) % IDS;
        Numbered {
            number,
            id,
            data: [number, id, !number],
        }
    }

    /// 0 for `api`, 1 for `db`.
    #[inline]
    pub(crate) fn side(&self) -> usize {
        (self.number % 2) as usize
    }

    /// What its handler must add to its checksum and answer.
    #[inline]
    pub(crate) fn mark(&self) -> u64 {
        mark(self.id, self.number, &self.data)
    }

    #[inline]
    fn user(&self) -> GetUser {
        GetUser {
            number: self.number,
            data: self.data,
        }
    }

    #[inline]
    fn search(&self) -> Search {
        Search {
            id: self.id,
            number: self.number,
            data: self.data,
        }
    }
}

impl Target {
    pub(crate) fn new(system: &System, addressing: Addressing) -> anyhow::Result<Self> {
        Ok(match addressing {
            Addressing::Textual => Target::Textual {
                system: system.clone(),
                users: (0..IDS).map(|id| format!("api://users/{id}")).collect(),
            },
            Addressing::Typed => Target::Typed {
                users: system.route(USERS)?,
                query: system.route(QUERY)?,
            },
        })
    }

    /// Sends a message, waiting for room.
    #[inline]
    pub(crate) async fn tell(&self, message: &Numbered) -> anyhow::Result<()> {
        let is_user = message.side() == 0;
        match self {
            Target::Textual { system, users } if is_user => {
                let path = &users[message.id as usize];
                system.tell(path, message.user()).await?;
            }
            Target::Textual { system, .. } => {
                system.tell(QUERY, message.search()).await?;
            }
            Target::Typed { users, .. } if is_user => {
                let user = users.at(message.id);
                user.tell(message.user()).await?;
            }
            Target::Typed { query, .. } => query.tell(message.search()).await?,
        }
        Ok(())
    }

    /// Sends a message and waits for its reply; true if the reply is the right one.
    pub(crate) async fn ask(&self, message: &Numbered) -> anyhow::Result<bool> {
        let (id, mark) = if message.side() == 0 {
            let user = match self {
                Target::Textual { system, users } => {
                    let path = &users[message.id as usize];
                    system.ask(path, message.user()).await
                }
                Target::Typed { users, .. } => users.at(message.id).ask(message.user()).await,
            };
            let user = user?;
            (user.id, user.mark)
        } else {
            let rows = match self {
                Target::Textual { system, .. } => system.ask(QUERY, message.search()).await,
                Target::Typed { query, .. } => query.ask(message.search()).await,
            };
            let rows = rows?;
            (rows.id, rows.mark)
        };
        Ok(id == message.id && mark == message.mark())
    }
}

/// Sends `count` messages, alternating, to the routes that are not measured.
pub(crate) async fn warm_up(system: &System, count: u64) -> anyhow::Result<()> {
    let names = ["api", "db"];
    let paths: Vec<String> = (0..2 * IDS)
        .map(|n| format!("{}://warm-up/{}", names[(n % 2) as usize], n / 2))
        .collect();
    for n in 0..count {
        let path = &paths[(n % (2 * IDS)) as usize];
        let data = [n, n, n];
        system.tell(path, WarmUp { data }).await?;
    }
    Ok(())
}
