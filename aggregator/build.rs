//! Builds again when a migration is added: the macro that embeds them only sees those it knows.

#![allow(clippy::print_stdout, reason = "a build script talks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
