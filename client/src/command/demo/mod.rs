//! x
use crate::output::Output;
/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// n
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub agents: u32,
}
/// x
pub async fn run(_: &Args, _: &mut Output) -> anyhow::Result<u8> {
    Ok(0)
}
