//! Words of eBPF (RFC 9669): one function for each instruction we use, and jumps to labels.

pub(crate) mod classifier;

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::bpf::Instruction;

/// One of the machine's registers. A call takes its arguments in [`R1`] to [`R5`], answers in [`R0`] and keeps [`R6`] to
/// [`R9`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register(u8);

pub(crate) const R0: Register = Register(0);
pub(crate) const R1: Register = Register(1);
pub(crate) const R2: Register = Register(2);
pub(crate) const R3: Register = Register(3);
pub(crate) const R4: Register = Register(4);
pub(crate) const R5: Register = Register(5);
pub(crate) const R6: Register = Register(6);
pub(crate) const R7: Register = Register(7);
pub(crate) const R8: Register = Register(8);
pub(crate) const R9: Register = Register(9);
/// The end of the stack, which grows downwards.
pub(crate) const STACK: Register = Register(10);

/// `BPF_PSEUDO_MAP_FD`: the immediate is a map's descriptor, and the register gets what calls know the map by.
const PSEUDO_MAP_FD: u8 = 1;
/// `BPF_PSEUDO_MAP_VALUE`: the immediate is a map's descriptor, and the register gets the address of its value.
const PSEUDO_MAP_VALUE: u8 = 2;

/// How many bytes a load or store moves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Width {
    Byte = 0x10,
    Half = 0x08,
    Word = 0x00,
    Double = 0x18,
}

const fn word(code: u8, to: Register, from: u8, offset: i16, immediate: i32) -> Instruction {
    let registers = if cfg!(target_endian = "little") {
        to.0 | from << 4
    } else {
        to.0 << 4 | from
    };
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

/// `to` = `from`, 64 bits.
pub(crate) const fn copy(to: Register, from: Register) -> Instruction {
    word(0xbf, to, from.0, 0, 0)
}
/// `to` = `value`, extended to 64 bits with its sign.
pub(crate) const fn set(to: Register, value: i32) -> Instruction {
    word(0xb7, to, 0, 0, value)
}
/// `to` += `value`, 64 bits.
pub(crate) const fn add(to: Register, value: i32) -> Instruction {
    word(0x07, to, 0, 0, value)
}
/// `to` += `from`, 64 bits.
pub(crate) const fn add_register(to: Register, from: Register) -> Instruction {
    word(0x0f, to, from.0, 0, 0)
}
/// `to` &= `value`, extended to 64 bits with its sign.
pub(crate) const fn and(to: Register, value: i32) -> Instruction {
    word(0x57, to, 0, 0, value)
}
/// `to` ^= `from`, 64 bits.
pub(crate) const fn xor_register(to: Register, from: Register) -> Instruction {
    word(0xaf, to, from.0, 0, 0)
}
/// `to` <<= `bits`, 64 bits.
pub(crate) const fn shift_left(to: Register, bits: i32) -> Instruction {
    word(0x67, to, 0, 0, bits)
}
/// `to` >>= `bits`, 64 bits, zeroes come in.
pub(crate) const fn shift_right(to: Register, bits: i32) -> Instruction {
    word(0x77, to, 0, 0, bits)
}
/// The low 16 bits of `to`, from the machine's byte order to that of the wire or back; the others become 0.
pub(crate) const fn to_big_endian_16(to: Register) -> Instruction {
    word(0xdc, to, 0, 0, 16)
}
/// `to` = the bytes at `at` + `offset`, extended with zeroes.
pub(crate) const fn load(width: Width, to: Register, at: Register, offset: i16) -> Instruction {
    word(0x61 | width as u8, to, at.0, offset, 0)
}
/// The bytes at `at` + `offset` = the low bytes of `from`.
pub(crate) const fn store(width: Width, at: Register, offset: i16, from: Register) -> Instruction {
    word(0x63 | width as u8, at, from.0, offset, 0)
}
/// The bytes at `at` + `offset` += the low ones of `from`, as one step. [`Width::Word`] and [`Width::Double`] only.
pub(crate) const fn add_atomically(
    width: Width,
    at: Register,
    offset: i16,
    from: Register,
) -> Instruction {
    word(0xc3 | width as u8, at, from.0, offset, 0)
}
/// The 64 bits at `at` + `offset` += `with`, as one step; `with` = what they were (Linux 5.12).
pub(crate) const fn fetch_and_add(at: Register, offset: i16, with: Register) -> Instruction {
    word(0xdb, at, with.0, offset, 0x01)
}
/// The 64 bits at `at` + `offset` &= `from`, as one step (Linux 5.12).
pub(crate) const fn and_atomically(at: Register, offset: i16, from: Register) -> Instruction {
    word(0xdb, at, from.0, offset, 0x50)
}
/// `to` = what calls know a map by: two words.
pub(crate) fn map(to: Register, map: BorrowedFd<'_>) -> [Instruction; 2] {
    map_word(to, PSEUDO_MAP_FD, map)
}
/// `to` = the address of the first value of a map: two words.
pub(crate) fn map_value(to: Register, map: BorrowedFd<'_>) -> [Instruction; 2] {
    map_word(to, PSEUDO_MAP_VALUE, map)
}
fn map_word(to: Register, meaning: u8, map: BorrowedFd<'_>) -> [Instruction; 2] {
    [
        word(0x18, to, meaning, 0, map.as_raw_fd()),
        word(0, Register(0), 0, 0, 0),
    ]
}
/// Calls a function of the kernel by its number, `BPF_FUNC_*`.
pub(crate) const fn call(function: i32) -> Instruction {
    word(0x85, Register(0), 0, 0, function)
}
/// Ends with [`R0`].
pub(crate) const fn exit() -> Instruction {
    word(0x95, Register(0), 0, 0, 0)
}

/// A program under construction. Jumps lead forward to labels that come later.
#[derive(Debug)]
pub(crate) struct Assembler<L> {
    program: Vec<Instruction>,
    jumps: Vec<(usize, L)>,
}

impl<L: Copy + PartialEq> Assembler<L> {
    pub(crate) const fn new() -> Self {
        Self {
            program: Vec::new(),
            jumps: Vec::new(),
        }
    }

    /// Appends instructions.
    pub(crate) fn then(&mut self, instructions: impl IntoIterator<Item = Instruction>) {
        self.program.extend(instructions);
    }

    /// Goes to `label` unless the low 32 bits of `register` are `value`.
    pub(crate) fn unless(&mut self, register: Register, value: u32, label: L) {
        self.jump(word(0x56, register, 0, 0, value.cast_signed()), label);
    }

    /// Goes to `label` if the low 32 bits of `register` are `value`.
    pub(crate) fn when(&mut self, register: Register, value: u32, label: L) {
        self.jump(word(0x16, register, 0, 0, value.cast_signed()), label);
    }

    /// Goes to `label` if the low 32 bits of `register`, without a sign, are less than `value`.
    pub(crate) fn when_below(&mut self, register: Register, value: u32, label: L) {
        self.jump(word(0xa6, register, 0, 0, value.cast_signed()), label);
    }

    /// Goes to `label` if one of the bits `mask` is set in `register`.
    pub(crate) fn when_any(&mut self, register: Register, mask: u32, label: L) {
        self.jump(word(0x46, register, 0, 0, mask.cast_signed()), label);
    }

    /// Goes to `label` unless both registers are equal, 64 bits.
    pub(crate) fn unless_equal(&mut self, one: Register, other: Register, label: L) {
        self.jump(word(0x5d, one, other.0, 0, 0), label);
    }

    /// Goes to `label` if `one` is more than `other`, 64 bits without a sign.
    pub(crate) fn when_above(&mut self, one: Register, other: Register, label: L) {
        self.jump(word(0x2d, one, other.0, 0, 0), label);
    }

    /// Goes to `label` if `register`, 64 bits, is 0: for what a map may not have.
    pub(crate) fn when_null(&mut self, register: Register, label: L) {
        self.jump(word(0x15, register, 0, 0, 0), label);
    }

    /// Goes to `label`.
    pub(crate) fn go(&mut self, label: L) {
        self.jump(word(0x05, Register(0), 0, 0, 0), label);
    }

    fn jump(&mut self, instruction: Instruction, label: L) {
        self.jumps.push((self.program.len(), label));
        self.program.push(instruction);
    }

    /// What jumps to `label` goes on here.
    pub(crate) fn label(&mut self, label: L) {
        let here = self.program.len();
        self.jumps.retain(|&(from, to)| {
            if to == label {
                // Counted from the instruction after the jump.
                self.program[from].offset = (here - from - 1) as i16;
            }
            to != label
        });
    }

    /// The program.
    ///
    /// # Panics
    /// When a jump has no label.
    pub(crate) fn finish(self) -> Vec<Instruction> {
        assert!(self.jumps.is_empty(), "every jump leads somewhere");
        self.program
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests;
