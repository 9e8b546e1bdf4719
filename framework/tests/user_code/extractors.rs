//! Captures, paths and arguments with code of the user's.

use std::cell::RefCell;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use mycelia::error::{CaptureError, MountError, PathError};
use mycelia::extract::{Address, AsCapture, Capture, Captures, Delivery, Extractor, States};
use mycelia::schedule::Admission;
use mycelia::time::Clock;
use mycelia::{AsPath, RouteTable, Routes, Subsystem};
use mycelia_core::PathRef;

use crate::subjects::Ping;
use crate::table::Site;
use crate::world::{Token, World};

thread_local! {
    /// The world of what this thread sends: a parser is given nothing but text.
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// Says whose captures this thread parses.
pub(crate) fn parse_for(world: &Arc<World>) {
    WORLD.set(Some(world.clone()));
}

fn parsing() -> Option<Arc<World>> {
    WORLD.with_borrow(Clone::clone)
}

/// A subsystem that says by itself what its routes are.
pub(crate) struct Odd;

impl Subsystem for Odd {
    const NAME: &'static str = "odd";
}

impl Routes for Odd {
    fn routes(table: &mut RouteTable<Self>) {
        if let Some(world) = parsing() {
            world.reach(Site::RoutesCall);
        }
        table.on("unpacks", |_: &mut Odd, _: Ping, (_,): (Unpacks,)| 4_u32);
    }
}

/// Something in a factory whose clone is the user's.
pub(crate) struct Cloned(
    pub(crate) Arc<World>,
    #[allow(dead_code, reason = "it is dropped")] pub(crate) Token,
);

impl Clone for Cloned {
    fn clone(&self) -> Self {
        self.0.reach(Site::FactoryClone);
        Cloned(self.0.clone(), self.0.token(Site::Nowhere))
    }
}

/// A capture with code of its own.
pub(crate) struct Fussy {
    world: Arc<World>,
    _token: Token,
}

/// Why a capture is none.
pub(crate) struct Misread(Option<Arc<World>>);

impl std::fmt::Display for Misread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(world) = &self.0 {
            world.reach(Site::ParseErrorDisplay);
        }
        f.write_str("misread")
    }
}

impl FromStr for Fussy {
    type Err = Misread;

    fn from_str(_: &str) -> Result<Self, Self::Err> {
        let world = parsing().ok_or(Misread(None))?;
        if world.site == Site::ParseErrorDisplay {
            return Err(Misread(Some(world)));
        }
        for site in [
            Site::ParseAPath,
            Site::ParseAValue,
            Site::ParseAResolvedPath,
        ] {
            world.reach(site);
        }
        Ok(Fussy {
            _token: match world.site {
                of @ Site::MessageAndCapture => world.burning_token(of),
                site @ Site::CaptureOfARefusedMessage => world.token(site),
                _ => world.token(Site::Nowhere),
            },
            world,
        })
    }
}

impl Clone for Fussy {
    fn clone(&self) -> Self {
        self.world.reach(Site::PackedClone);
        Fussy {
            world: self.world.clone(),
            _token: self.world.token(Site::Nowhere),
        }
    }
}

/// A path, and a capture, of the sender's own type.
pub(crate) struct Own(pub(crate) Arc<World>, pub(crate) &'static str);

impl AsPath for Own {
    fn as_path(&self) -> Result<PathRef<'_>, PathError> {
        self.0.reach(Site::AsPathCall);
        self.1.as_path()
    }
}

impl Admission for Own {
    fn admit(&self, _: &Clock) -> Result<(), Duration> {
        self.0.reach(Site::AdmitCall);
        Ok(())
    }
}

impl Captures for Own {
    fn with<R>(&self, f: impl FnOnce(&[Capture<'_>]) -> R) -> R {
        let result = f(&[Capture::Text(self.1)]);
        self.0.reach(Site::CapturesCall);
        result
    }
}

impl AsCapture for Own {
    fn as_capture(&self) -> Capture<'_> {
        self.0.reach(Site::AsCaptureCall);
        Capture::Text(self.1)
    }
}

/// An argument with code of its own.
pub(crate) struct Unpacks;

impl Extractor for Unpacks {
    type Packed = Option<(Arc<World>, Token)>;

    fn pack(_: &mut Address<'_>) -> Result<Self::Packed, CaptureError> {
        Ok(parsing().map(|world| {
            world.reach(Site::ExtractorPack);
            let token = match world.site {
                site @ Site::PackedDrop => world.token(site),
                _ => world.token(Site::Nowhere),
            };
            (world, token)
        }))
    }

    fn unpack(packed: Self::Packed, _: &Delivery<'_>) -> Self {
        if let Some((world, _token)) = packed {
            world.reach(Site::ExtractorUnpack);
            world.reach(Site::ExtractorUnpackAndMessage);
        }
        Unpacks
    }

    fn check(_: &States) -> Result<(), MountError> {
        if let Some(world) = parsing() {
            world.reach(Site::ExtractorCheck);
        }
        Ok(())
    }
}
