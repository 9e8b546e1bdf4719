//! The table: sites of user code, what it does there, and where.

/// What user code does, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Panics,
    PanicsWithABomb,
    PanicsAndAgainWhileItUnwinds,
    Tells,
    TriesToTell,
    Asks,
    WaitsForRoom,
    BeginsAMount,
    Mounts,
    BeginsAnUnmount,
    Unmounts,
    UnmountsItsOwn,
    BeginsAStop,
    Stops,
    TakesASnapshot,
    ResolvesARoute,
    Watches,
    SetsAStrategy,
    ForgetsAnAsk,
    ForgetsATell,
    ForgetsAMount,
    Blocks,
}

impl Act {
    pub(crate) const ALL: [Act; 22] = [
        Act::Panics,
        Act::PanicsWithABomb,
        Act::PanicsAndAgainWhileItUnwinds,
        Act::Tells,
        Act::TriesToTell,
        Act::Asks,
        Act::WaitsForRoom,
        Act::BeginsAMount,
        Act::Mounts,
        Act::BeginsAnUnmount,
        Act::Unmounts,
        Act::UnmountsItsOwn,
        Act::BeginsAStop,
        Act::Stops,
        Act::TakesASnapshot,
        Act::ResolvesARoute,
        Act::Watches,
        Act::SetsAStrategy,
        Act::ForgetsAnAsk,
        Act::ForgetsATell,
        Act::ForgetsAMount,
        Act::Blocks,
    ];

    pub(crate) fn panics(self) -> bool {
        use Act::{Panics, PanicsAndAgainWhileItUnwinds, PanicsWithABomb};
        matches!(
            self,
            Panics | PanicsWithABomb | PanicsAndAgainWhileItUnwinds
        )
    }

    pub(crate) fn stops(self) -> bool {
        matches!(self, Act::BeginsAStop | Act::Stops)
    }

    /// The system, or the subsystem at hand, may refuse what comes after it.
    pub(crate) fn ends_something(self) -> bool {
        self.stops() || self == Act::UnmountsItsOwn
    }
}

/// Where the user code runs, told by who brings it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The test's own thread sends.
    Outside,
    /// A handler on the subsystem's thread sends and goes on.
    SameThread,
    /// A handler on another thread of the system asks.
    OtherThread,
    /// A handler on the subsystem's thread asks, and lends it its turn.
    LentTurn,
    /// A blocking handler asks.
    BlockingThread,
    /// The keepers bring it there.
    Keepers,
}

pub(crate) const SENDERS: &[Place] = &[
    Place::Outside,
    Place::SameThread,
    Place::OtherThread,
    Place::LentTurn,
    Place::BlockingThread,
];
/// Those whose sending future is polled: a blocking sender has none.
pub(crate) const POLLERS: &[Place] = &[
    Place::Outside,
    Place::SameThread,
    Place::OtherThread,
    Place::LentTurn,
];
pub(crate) const OUTSIDE: &[Place] = &[Place::Outside];
pub(crate) const KEEPERS: &[Place] = &[Place::Keepers];

/// Declares the sites, each with the row of the framework's own table that it belongs to.
macro_rules! sites {
    ($($row:literal: $($site:ident)*;)*) => {
        /// A site of user code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Site {
            /// None: a value that behaves.
            Nowhere,
            $($(#[doc = $row] $site,)*)*
        }

        /// All sites but `Nowhere`, each with its row.
        pub(crate) const SITES: &[(Site, &str)] = &[$($((Site::$site, $row),)*)*];
    };
}

sites! {
    "handler, async handler":
        SyncHandler HandlerAndValue HandlerLaterAndValue HandlerBeforeItsFirstAwait HandlerAfterItsFirstAwait;
    "blocking handler":
        BlockingHandler BlockingHandlerAndValue;
    "hook: started, restarting, stopped":
        Started StartedAndValue StartedLater StartedAgain Restarting RestartingLater RestartingAndValue StoppedAndValue Stopped StoppedLater
        StoppedBySystem;
    "factory":
        FactoryAtMount FactoryAndItsDrop FactoryAtRestart;
    "drop of a subsystem's value":
        ValueAtUnmount ValueAtRestart ValueAtStop;
    "drop of a handler's future":
        FutureCutOff;
    "drop of a message that no handler took":
        MessageExpired MessageOfADroppedAsk MessageUndeliverable MessageEvicted MessageTurnedAway
        MessageOfOneThatEnds MessageAndCapture MessageKeptForLater CaptureOfARefusedMessage;
    "drop of a reply that no asker took":
        ReplyOfATell ReplyOfADroppedAsk ReplyUnread ReplyTooLate;
    "drop of a panic's payload":
        PayloadDrop PayloadDropLater PayloadDropBlocking;
    "`Display` and `From` of a handler's error":
        ErrorDisplay ErrorDisplayAndDrop ErrorInto ErrorDrop ErrorOfAHook;
    "`FromStr` of a capture":
        ParseAPath ParseAValue ParseAResolvedPath ParseErrorDisplay;
    "`AsPath`, `Captures` of the sender's own types":
        AsPathCall CapturesCall AsCaptureCall;
    "`Admission::admit`":
        AdmitCall;
    "waker of a sender or an asker: wake":
        WakeAnAsker WakeASender;
    "waker: clone and drop":
        CloneOfAnAsker CloneOfASender DropOfAnAsker DropOfASender;
    "stream, closure of a timer: call and drop":
        StreamPoll StreamPollAndDrop StreamDropAtItsEnd StreamDropAtUnmount TimerCall TimerCallAndDrop TimerDropAtCancel
        TimerDropAtUnmount TimerDropAtStop StreamDropAtStop;
    "drop of a message that a timer or a stream did not send":
        AfterCancelled AfterUnmounted AfterAtStop StreamItemUnsent;
    "call, unpacking, drop of an extractor's value":
        ExtractorPack ExtractorUnpack ExtractorUnpackAndMessage PackedClone PackedDrop;
    "`Routes::routes`, `Extractor::check`; clone of a factory of replicas":
        RoutesCall ExtractorCheck FactoryClone;
    "strategy":
        StrategySlices StrategyAndItsDrop StrategyName;
    "`before_stop` future: call, poll, drop":
        BeforeStopCall BeforeStopPoll BeforeStopPollAndDrop BeforeStopDrop;
    "waker of a task that mounts, unmounts, stops or watches: wake, drop":
        WakeAMounter WakeAnUnmounter WakeAStopper WakeAWatcher WakeAReaderOfDeadLetters
        DropOfAMounter DropOfAnUnmounter DropOfAWatcher;
    "drop of a factory, a handler's closure, a strategy or a shared state":
        FactoryDropAtUnmount FactoryDropAtRefusal FactoryDropAtStop StrategyDropWhenReplaced
        StrategyDropAtStop StateDrop;
}
