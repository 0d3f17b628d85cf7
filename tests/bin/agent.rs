//! The agent's program; see the library.

fn main() -> std::process::ExitCode {
    quorate_agent::main()
}
