//! Filters in classic BPF, the language that libpcap compiles tcpdump's expressions into: checked once, then run.
//!
//! Steven McCanne and Van Jacobson, "The BSD Packet Filter" (USENIX 1993); the instruction numbers are those of
//! `include/uapi/linux/bpf_common.h`. What a program may be is what the kernel's checker (`net/core/filter.c`) allows a
//! socket filter, without its extensions: every jump goes forward and stays inside, the last instruction returns. So a
//! program of `n` instructions ends after `n` steps, whatever the packet holds.

mod decode;

use decode::{Jump, Load, Op, Operand};

/// The longest program, in instructions (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Words of scratch memory (`BPF_MEMWORDS`).
const MEMORY: usize = 16;

/// One instruction as libpcap writes it (`struct bpf_insn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions skipped when a comparison holds.
    pub jump_true: u8,
    /// Instructions skipped when it does not.
    pub jump_false: u8,
    /// The operand.
    pub k: u32,
}

/// Why a program is refused. Instructions are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No instruction, or too many.
    #[error("a filter has 1 to {MAX_INSTRUCTIONS} instructions, found {found}")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// No such instruction.
    #[error("instruction {at} of the filter has the unknown code {code:#x}")]
    Code {
        /// Which one.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// A division by the constant 0, a shift by 32 or more, or scratch memory that does not exist.
    #[error("instruction {at} of the filter (code {code:#x}) cannot have the operand {k}")]
    Operand {
        /// Which one.
        at: usize,
        /// Its code.
        code: u16,
        /// Its operand.
        k: u32,
    },
    /// A jump out of the program, or backward: a loop, as `protochain` compiles to.
    #[error(
        "instruction {at} of the filter jumps out of it or backward; loops (protochain) are not supported"
    )]
    Jump {
        /// Which one.
        at: usize,
    },
    /// The last instruction does not return.
    #[error("the filter does not end with a return")]
    End,
}

/// A program that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(Vec<Op>);

/// A frame in two pieces, one after the other: a link header, which may be made up, and the packet.
#[derive(Debug, Clone, Copy)]
pub struct Pieces<'a> {
    /// The first bytes.
    pub link: &'a [u8],
    /// The rest.
    pub packet: &'a [u8],
}

impl Program {
    /// Checks a program. Linear in its length; allocates.
    ///
    /// # Errors
    /// [`Error`]: the first instruction that is not allowed.
    pub fn new(instructions: &[Instruction]) -> Result<Self, Error> {
        let found = instructions.len();
        if found == 0 || found > MAX_INSTRUCTIONS {
            return Err(Error::Length { found });
        }
        let numbered = instructions.iter().enumerate();
        let ops: Vec<Op> = numbered
            .map(|(at, instruction)| decode::decode(at, instruction, found - at - 1))
            .collect::<Result<_, _>>()?;
        match ops.last() {
            Some(Op::Return(_) | Op::ReturnA) => Ok(Self(ops)),
            _ => Err(Error::End),
        }
    }

    /// Whether the frame matches, `wire_len` being its length where only a part of it is given. Reading past the end of what
    /// is given, and dividing by 0, mean no, as in libpcap and the kernel. Allocates nothing.
    #[must_use]
    pub fn matches(&self, frame: Pieces<'_>, wire_len: u32) -> bool {
        self.run(frame, wire_len).unwrap_or(0) != 0
    }

    fn run(&self, frame: Pieces<'_>, wire_len: u32) -> Option<u32> {
        let (mut a, mut x) = (0_u32, 0_u32);
        let mut memory = [0_u32; MEMORY];
        let mut at = 0;
        loop {
            let op = self.0.get(at)?;
            at += 1;
            match *op {
                Op::Load(load, k) => a = load.from(frame, k)?,
                Op::LoadIndirect(load, k) => a = load.from(frame, x.checked_add(k)?)?,
                Op::LoadHeaderLen(k) => x = (Load::Byte.from(frame, k)? & 0x0f) * 4,
                Op::SetA(k) => a = k,
                Op::SetX(k) => x = k,
                Op::LenToA => a = wire_len,
                Op::LenToX => x = wire_len,
                Op::Recall(slot) => a = memory[usize::from(slot) % MEMORY],
                Op::RecallX(slot) => x = memory[usize::from(slot) % MEMORY],
                Op::Keep(slot) => memory[usize::from(slot) % MEMORY] = a,
                Op::KeepX(slot) => memory[usize::from(slot) % MEMORY] = x,
                Op::Compute(operation, operand) => a = operation.of(a, value(operand, x))?,
                Op::Negate => a = a.wrapping_neg(),
                Op::AToX => x = a,
                Op::XToA => a = x,
                Op::Skip(by) => at += by as usize,
                Op::SkipIf(jump, operand, yes, no) => {
                    let holds = jump.holds(a, value(operand, x));
                    at += usize::from(if holds { yes } else { no });
                }
                Op::Return(k) => return Some(k),
                Op::ReturnA => return Some(a),
            }
        }
    }
}

fn value(operand: Operand, x: u32) -> u32 {
    match operand {
        Operand::Constant(k) => k,
        Operand::X => x,
    }
}

impl Jump {
    fn holds(self, a: u32, other: u32) -> bool {
        match self {
            Self::Equal => a == other,
            Self::Greater => a > other,
            Self::GreaterOrEqual => a >= other,
            Self::AnySet => a & other != 0,
        }
    }
}

impl Load {
    /// Big-endian bytes at `at`, if they are there.
    fn from(self, frame: Pieces<'_>, at: u32) -> Option<u32> {
        match self {
            Self::Word => frame.bytes(at).map(u32::from_be_bytes),
            Self::Half => frame
                .bytes(at)
                .map(|bytes| u16::from_be_bytes(bytes).into()),
            Self::Byte => frame.bytes(at).map(|[byte]| byte.into()),
        }
    }
}

impl Pieces<'_> {
    fn bytes<const N: usize>(self, at: u32) -> Option<[u8; N]> {
        let at = at as usize;
        if let Some(at) = at.checked_sub(self.link.len()) {
            return self.packet.get(at..)?.first_chunk().copied();
        }
        let mut bytes = [0; N];
        for (offset, byte) in bytes.iter_mut().enumerate() {
            let at = at + offset;
            let rest = || self.packet.get(at - self.link.len());
            *byte = *self.link.get(at).or_else(rest)?;
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests;
