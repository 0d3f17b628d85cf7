//! Mutants: what could be wrong in the program, planted at its seams. A verdict that finds them can be believed when it
//! finds nothing.

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[$doc])* $name,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Mutant] = &[$(Mutant::$name),*];
        }
    };
}

mutants! {
    /// The log is not synced before its frames count as durable.
    AcknowledgedBeforeSync,
    /// Log files go although the chunks that cover them are not on the disk.
    UnlinkedBeforeSeal,
    /// What is received is acknowledged as durable.
    ReceivedIsDurable,
    /// The watermark of an acknowledgement is one frame too high.
    WatermarkOffByOne,
    /// The ranges of an acknowledgement are one frame too long.
    RangeOffByOne,
    /// Lost frames are not written down.
    LossForgotten,
    /// Lost frames are written down without the last one.
    LossOffByOne,
    /// An epoch ends when something of it is lost.
    EndedTooEarly,
    /// Two series have one number.
    NumberUsedAgain,
    /// A frame is counted, and not kept.
    CountedAndNotKept,
    /// A frame is kept, and counted a second time as the one behind it.
    CountedTwice,
    /// A frame that was known is kept again.
    KeptAgain,
    /// After a commit has failed, what was in it stays known.
    NotSetBack,
    /// A loss is written down after its piece is deleted.
    LossAfterUnlink,
    /// The agent's journal is not synced.
    JournalNotSynced,
    /// A piece is sent without what was registered before it.
    PieceWithoutBase,
    /// A piece of an earlier boot is sent as one of this boot.
    WrongBoot,
}
