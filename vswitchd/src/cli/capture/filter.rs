//! tcpdump's filter language, by libpcap itself.

use anyhow::{Context, bail};
use pcap::{Capture, Linktype};

/// Compiles an expression for Ethernet frames into classic BPF, `[code, jump_true, jump_false, k]` an instruction. The
/// empty expression, which matches all, is the empty program.
///
/// # Errors
/// libpcap's own words.
pub(crate) fn compile(expression: &str) -> anyhow::Result<Vec<[u32; 4]>> {
    if expression.trim().is_empty() {
        return Ok(Vec::new());
    }
    let dead = Capture::dead(Linktype::ETHERNET).context("libpcap")?;
    let program = match dead.compile(expression, true) {
        Ok(program) => program,
        Err(pcap::Error::PcapError(message)) => bail!("filter {expression:?}: {message}"),
        Err(error) => bail!("filter {expression:?}: {error}"),
    };
    let instructions = program.get_instructions();
    instructions.iter().map(numbers).collect()
}

/// The crate shows an instruction's numbers as text only.
fn numbers(instruction: &pcap::BpfInstruction) -> anyhow::Result<[u32; 4]> {
    let text = instruction.to_string();
    let numbers: Result<Vec<u32>, _> = text.split(' ').map(str::parse).collect();
    let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    numbers.with_context(|| format!("expected four numbers of libpcap, found {text:?}"))
}
