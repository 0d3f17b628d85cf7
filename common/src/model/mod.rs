//! What things are. Plain values: no I/O, no clock, no wire.

pub mod backfill;
pub mod cluster;
pub mod component;
pub mod gap;
pub mod identity;
pub mod label;
pub mod node;
pub mod process;
pub mod resource;
pub mod series;
pub mod session;
pub mod stream;
pub mod time;

/// Declares an enum of status words: its text, its parser, and the list of its members.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every member, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word as users read and write it.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok($name::$variant),)+
                    _ => Err($crate::model::UnknownWord {
                        word: text.to_owned(),
                        expected: vec![$($text),+],
                    }),
                }
            }
        }
    };
}
pub(crate) use words;

/// A word that is not a member of the set it was read for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word `{word}`, expected one of {}", expected.join(", "))]
pub struct UnknownWord {
    /// What was read.
    pub word: String,
    /// What would have been understood.
    pub expected: Vec<&'static str>,
}
