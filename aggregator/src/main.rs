//! The aggregator's program; see the library.

fn main() -> std::process::ExitCode {
    quorate_aggregator::main()
}
