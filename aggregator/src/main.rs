//! One line: the program is its library.
fn main() {}
