//! What is shown to people on a terminal, by every program that shows something: clean text, styles, marks,
//! and the findings of a doctor. Prints nothing.

pub mod finding;
pub mod mark;
pub mod text;
