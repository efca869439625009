//! Words of eBPF (RFC 9669): one function for each instruction we use, and jumps to labels.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::bpf::Instruction;

/// One of the machine's registers. A call takes its arguments in [`R1`] to [`R5`], answers in [`R0`] and keeps [`R6`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Register(u8);

pub(super) const R0: Register = Register(0);
pub(super) const R1: Register = Register(1);
pub(super) const R2: Register = Register(2);
pub(super) const R3: Register = Register(3);
pub(super) const R4: Register = Register(4);
pub(super) const R5: Register = Register(5);
pub(super) const R6: Register = Register(6);
/// The end of the stack, which grows downwards.
pub(super) const STACK: Register = Register(10);

/// `BPF_PSEUDO_MAP_VALUE`: the immediate is a map's descriptor, and the register gets the address of its value.
const PSEUDO_MAP_VALUE: u8 = 2;

/// How many bytes a load or store moves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    Byte = 0x10,
    Word = 0x00,
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
pub(super) const fn copy(to: Register, from: Register) -> Instruction {
    word(0xbf, to, from.0, 0, 0)
}
/// `to` = `value`, extended to 64 bits with its sign.
pub(super) const fn set(to: Register, value: i32) -> Instruction {
    word(0xb7, to, 0, 0, value)
}
/// `to` += `value`, 64 bits.
pub(super) const fn add(to: Register, value: i32) -> Instruction {
    word(0x07, to, 0, 0, value)
}
/// `to` = the bytes at `at` + `offset`, extended with zeroes.
pub(super) const fn load(width: Width, to: Register, at: Register, offset: i16) -> Instruction {
    word(0x61 | width as u8, to, at.0, offset, 0)
}
/// The bytes at `at` + `offset` = the low bytes of `from`.
pub(super) const fn store(width: Width, at: Register, offset: i16, from: Register) -> Instruction {
    word(0x63 | width as u8, at, from.0, offset, 0)
}
/// The 32 bits at `at` + `offset` += those of `from`, as one step.
pub(super) const fn add_atomically(at: Register, offset: i16, from: Register) -> Instruction {
    word(0xc3, at, from.0, offset, 0)
}
/// `to` = the address of the first value of a map: two words.
pub(super) fn map_value(to: Register, map: BorrowedFd<'_>) -> [Instruction; 2] {
    [
        word(0x18, to, PSEUDO_MAP_VALUE, 0, map.as_raw_fd()),
        word(0, Register(0), 0, 0, 0),
    ]
}
/// Calls a function of the kernel by its number, `BPF_FUNC_*`.
pub(super) const fn call(function: i32) -> Instruction {
    word(0x85, Register(0), 0, 0, function)
}
/// Ends with [`R0`].
pub(super) const fn exit() -> Instruction {
    word(0x95, Register(0), 0, 0, 0)
}

/// A program under construction. Jumps lead forward to labels that come later.
#[derive(Debug)]
pub(super) struct Assembler<L> {
    program: Vec<Instruction>,
    jumps: Vec<(usize, L)>,
}

impl<L: Copy + PartialEq> Assembler<L> {
    pub(super) const fn new() -> Self {
        Self {
            program: Vec::new(),
            jumps: Vec::new(),
        }
    }

    /// Appends instructions.
    pub(super) fn then(&mut self, instructions: impl IntoIterator<Item = Instruction>) {
        self.program.extend(instructions);
    }

    /// Goes to `label` unless the low 32 bits of `register` are `value`.
    pub(super) fn unless(&mut self, register: Register, value: u32, label: L) {
        self.jump(word(0x56, register, 0, 0, value.cast_signed()), label);
    }

    /// Goes to `label` if the low 32 bits of `register` are `value`.
    pub(super) fn when(&mut self, register: Register, value: u32, label: L) {
        self.jump(word(0x16, register, 0, 0, value.cast_signed()), label);
    }

    fn jump(&mut self, instruction: Instruction, label: L) {
        self.jumps.push((self.program.len(), label));
        self.program.push(instruction);
    }

    /// What jumps to `label` goes on here.
    pub(super) fn label(&mut self, label: L) {
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
    pub(super) fn finish(self) -> Vec<Instruction> {
        assert!(self.jumps.is_empty(), "every jump leads somewhere");
        self.program
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn bytes(instruction: Instruction) -> [u8; 8] {
        let [o0, o1] = instruction.offset.to_le_bytes();
        let [i0, i1, i2, i3] = instruction.immediate.to_le_bytes();
        let Instruction {
            code, registers, ..
        } = instruction;
        [code, registers, o0, o1, i0, i1, i2, i3]
    }

    /// The bytes are those of RFC 9669, section 3 to 5, by hand.
    #[test]
    fn instructions_are_encoded_as_the_rfc_says() {
        assert_eq!(bytes(copy(R6, R1)), [0xbf, 0x16, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes(set(R0, -1)), [0xb7, 0, 0, 0, 255, 255, 255, 255]);
        assert_eq!(bytes(add(R3, -24)), [0x07, 3, 0, 0, 0xe8, 255, 255, 255]);
        assert_eq!(
            bytes(load(Width::Word, R2, R6, 32)),
            [0x61, 0x62, 32, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            bytes(load(Width::Byte, R2, STACK, -24)),
            [0x71, 0xa2, 0xe8, 255, 0, 0, 0, 0]
        );
        assert_eq!(
            bytes(store(Width::Word, R6, 32, R2)),
            [0x63, 0x26, 32, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            bytes(add_atomically(R1, 0, R2)),
            [0xc3, 0x21, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(bytes(call(50)), [0x85, 0, 0, 0, 50, 0, 0, 0]);
        assert_eq!(bytes(exit()), [0x95, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_maps_value_takes_two_words() {
        let map = std::fs::File::open("/dev/null").unwrap();
        let [first, second] = map_value(R1, map.as_fd());
        assert_eq!((first.code, first.registers), (0x18, 0x21));
        assert_eq!(first.immediate, map.as_raw_fd());
        assert_eq!(bytes(second), [0; 8]);
    }

    #[test]
    fn jumps_lead_to_their_labels() {
        let mut assembler = Assembler::new();
        assembler.unless(R2, 0x8000_0001, 'a');
        assembler.when(R2, 7, 'b');
        assembler.unless(R2, 8, 'a');
        assembler.label('b');
        assembler.then([exit()]);
        assembler.label('a');
        assembler.then([exit()]);
        let program = assembler.finish();
        let jumps = program[..3].iter().map(|word| (word.code, word.offset));
        assert_eq!(jumps.collect::<Vec<_>>(), [(0x56, 3), (0x16, 1), (0x56, 1)]);
        assert_eq!(bytes(program[0])[4..], [1, 0, 0, 0x80]);
    }

    #[test]
    #[should_panic(expected = "every jump leads somewhere")]
    fn a_jump_without_its_label_is_no_program() {
        let mut assembler = Assembler::new();
        assembler.when(R0, 0, 'a');
        assembler.finish();
    }
}
