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
        bytes(add_atomically(Width::Word, R1, 0, R2)),
        [0xc3, 0x21, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(
        bytes(load(Width::Half, R8, R9, 2)),
        [0x69, 0x98, 2, 0, 0, 0, 0, 0]
    );
    assert_eq!(
        bytes(store(Width::Double, R7, 8, R2)),
        [0x7b, 0x27, 8, 0, 0, 0, 0, 0]
    );
    assert_eq!(
        bytes(add_atomically(Width::Double, R7, 16, R2)),
        [0xdb, 0x27, 16, 0, 0, 0, 0, 0]
    );
    assert_eq!(
        bytes(fetch_and_add(R7, 0, R8)),
        [0xdb, 0x87, 0, 0, 1, 0, 0, 0]
    );
    assert_eq!(
        bytes(and_atomically(R7, 0, R2)),
        [0xdb, 0x27, 0, 0, 0x50, 0, 0, 0]
    );
    assert_eq!(bytes(add_register(R2, R3)), [0x0f, 0x32, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes(and(R2, 0x17)), [0x57, 2, 0, 0, 0x17, 0, 0, 0]);
    assert_eq!(bytes(xor_register(R2, R3)), [0xaf, 0x32, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes(shift_left(R2, 2)), [0x67, 2, 0, 0, 2, 0, 0, 0]);
    assert_eq!(bytes(shift_right(R2, 40)), [0x77, 2, 0, 0, 40, 0, 0, 0]);
    assert_eq!(bytes(to_big_endian_16(R8)), [0xdc, 8, 0, 0, 16, 0, 0, 0]);
    assert_eq!(bytes(call(50)), [0x85, 0, 0, 0, 50, 0, 0, 0]);
    assert_eq!(bytes(exit()), [0x95, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_maps_value_takes_two_words() {
    let map = std::fs::File::open("/dev/null").unwrap();
    let [first, second] = map_value(R1, map.as_fd());
    assert_eq!((first.code, first.registers), (0x18, 0x21));
    assert_eq!(super::map(R1, map.as_fd())[0].registers, 0x11);
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
fn jumps_compare_as_the_rfc_says() {
    let mut assembler = Assembler::new();
    assembler.when_below(R2, 20, 'a');
    assembler.when_any(R2, 0x10, 'a');
    assembler.unless_equal(R2, R3, 'a');
    assembler.when_above(R2, R3, 'a');
    assembler.when_null(R0, 'a');
    assembler.go('a');
    assembler.label('a');
    let codes = assembler.finish();
    let codes = codes.iter().map(|word| (word.code, word.registers));
    let expected = [
        (0xa6, 2),
        (0x46, 2),
        (0x5d, 0x32),
        (0x2d, 0x32),
        (0x15, 0),
        (0x05, 0),
    ];
    assert_eq!(codes.collect::<Vec<_>>(), expected);
}

#[test]
#[should_panic(expected = "every jump leads somewhere")]
fn a_jump_without_its_label_is_no_program() {
    let mut assembler = Assembler::new();
    assembler.when(R0, 0, 'a');
    assembler.finish();
}
