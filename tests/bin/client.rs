//! One line: the program is its library.
fn main() -> std::process::ExitCode {
    quorate::main()
}
