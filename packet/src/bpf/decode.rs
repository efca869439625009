//! An instruction's numbers, read once: what is left cannot go wrong while it runs.

use super::{Error, Instruction, MEMORY};

/// What an instruction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Load(Load, u32),
    /// The place counts from X.
    LoadIndirect(Load, u32),
    /// X becomes four times the low half of this byte: an IPv4 header's length.
    LoadHeaderLen(u32),
    SetA(u32),
    SetX(u32),
    LenToA,
    LenToX,
    Recall(u8),
    RecallX(u8),
    Keep(u8),
    KeepX(u8),
    Compute(Operation, Operand),
    Negate,
    AToX,
    XToA,
    Skip(u32),
    SkipIf(Jump, Operand, u8, u8),
    Return(u32),
    ReturnA,
}

/// How many bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    Word,
    Half,
    Byte,
}

/// What is computed with A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Or,
    And,
    ShiftLeft,
    ShiftRight,
    Modulo,
    Xor,
}

/// What A is compared or computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    Constant(u32),
    X,
}

/// How A is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    Equal,
    Greater,
    GreaterOrEqual,
    AnySet,
}

/// Reads instruction `at`, which `left` more follow.
pub(super) fn decode(at: usize, instruction: &Instruction, left: usize) -> Result<Op, Error> {
    let Instruction { code, k, .. } = *instruction;
    let memory = |op: fn(u8) -> Op| match u8::try_from(k) {
        Ok(slot) if usize::from(slot) < MEMORY => Ok(op(slot)),
        _ => Err(Error::Operand { at, code, k }),
    };
    Ok(match code {
        0x00 => Op::SetA(k),
        0x20 => Op::Load(Load::Word, k),
        0x28 => Op::Load(Load::Half, k),
        0x30 => Op::Load(Load::Byte, k),
        0x40 => Op::LoadIndirect(Load::Word, k),
        0x48 => Op::LoadIndirect(Load::Half, k),
        0x50 => Op::LoadIndirect(Load::Byte, k),
        0x60 => memory(Op::Recall)?,
        0x80 => Op::LenToA,
        0x01 => Op::SetX(k),
        0x61 => memory(Op::RecallX)?,
        0x81 => Op::LenToX,
        0xb1 => Op::LoadHeaderLen(k),
        0x02 => memory(Op::Keep)?,
        0x03 => memory(Op::KeepX)?,
        0x06 => Op::Return(k),
        0x16 => Op::ReturnA,
        0x07 => Op::AToX,
        0x87 => Op::XToA,
        0x84 => Op::Negate,
        0x05 if (k as usize) < left => Op::Skip(k),
        0x05 => return Err(Error::Jump { at }),
        _ if code & 0x07 == 0x04 => compute(at, instruction)?,
        _ if code & 0x07 == 0x05 => compare(at, instruction, left)?,
        _ => return Err(Error::Code { at, code }),
    })
}

/// `BPF_ALU`: the high half says what, bit 3 with what.
fn compute(at: usize, instruction: &Instruction) -> Result<Op, Error> {
    let Instruction { code, k, .. } = *instruction;
    let operation = match code & !0x08 {
        0x04 => Operation::Add,
        0x14 => Operation::Subtract,
        0x24 => Operation::Multiply,
        0x34 => Operation::Divide,
        0x44 => Operation::Or,
        0x54 => Operation::And,
        0x64 => Operation::ShiftLeft,
        0x74 => Operation::ShiftRight,
        0x94 => Operation::Modulo,
        0xa4 => Operation::Xor,
        _ => return Err(Error::Code { at, code }),
    };
    let operand = operand(code, k);
    let wrong = match (operation, operand) {
        (Operation::Divide | Operation::Modulo, Operand::Constant(0)) => true,
        (Operation::ShiftLeft | Operation::ShiftRight, Operand::Constant(by)) => by >= u32::BITS,
        _ => false,
    };
    match wrong {
        true => Err(Error::Operand { at, code, k }),
        false => Ok(Op::Compute(operation, operand)),
    }
}

/// `BPF_JMP` with a condition.
fn compare(at: usize, instruction: &Instruction, left: usize) -> Result<Op, Error> {
    let code = instruction.code;
    let jump = match code & !0x08 {
        0x15 => Jump::Equal,
        0x25 => Jump::Greater,
        0x35 => Jump::GreaterOrEqual,
        0x45 => Jump::AnySet,
        _ => return Err(Error::Code { at, code }),
    };
    let (yes, no) = (instruction.jump_true, instruction.jump_false);
    match usize::from(yes.max(no)) < left {
        true => Ok(Op::SkipIf(jump, operand(code, instruction.k), yes, no)),
        false => Err(Error::Jump { at }),
    }
}

fn operand(code: u16, k: u32) -> Operand {
    match code & 0x08 {
        0 => Operand::Constant(k),
        _ => Operand::X,
    }
}

impl Operation {
    /// `None` for a division by 0.
    pub(super) fn of(self, a: u32, other: u32) -> Option<u32> {
        Some(match self {
            Self::Add => a.wrapping_add(other),
            Self::Subtract => a.wrapping_sub(other),
            Self::Multiply => a.wrapping_mul(other),
            Self::Divide => a.checked_div(other)?,
            Self::Or => a | other,
            Self::And => a & other,
            Self::ShiftLeft => a.checked_shl(other).unwrap_or(0),
            Self::ShiftRight => a.checked_shr(other).unwrap_or(0),
            Self::Modulo => a.checked_rem(other)?,
            Self::Xor => a ^ other,
        })
    }
}
