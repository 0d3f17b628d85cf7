//! The burner's own program: one second of processor time, however long that takes on a busy machine.

use crate::crowd::{BURN_MAX, BURNT};
use anyhow::bail;
use quorate_common::clock::{Clock, SystemClock};
use rustix::time::{ClockId, clock_gettime};
use std::io::{Read, Write};

/// Burns, says so, and waits to be let go.
pub fn burn() -> anyhow::Result<()> {
    let begin = SystemClock.now().boot;
    while clock_gettime(ClockId::ProcessCPUTime).tv_sec < 1 {
        if SystemClock.now().boot.since(begin) > BURN_MAX {
            bail!("got no second of processor time within {BURN_MAX:?}");
        }
    }
    let mut out = std::io::stdout();
    out.write_all(&[BURNT])?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
