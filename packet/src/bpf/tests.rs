use super::*;

const fn op(code: u16, jump_true: u8, jump_false: u8, k: u32) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        k,
    }
}

const ALL: Instruction = op(0x06, 0, 0, 0xffff);
const NONE: Instruction = op(0x06, 0, 0, 0);

/// `tcpdump -ddd 'ip and tcp dst port 80'`.
const HTTP: [Instruction; 10] = [
    op(0x28, 0, 0, 12),
    op(0x15, 0, 7, 0x0800),
    op(0x30, 0, 0, 23),
    op(0x15, 0, 5, 6),
    op(0x28, 0, 0, 20),
    op(0x45, 3, 0, 0x1fff),
    op(0xb1, 0, 0, 14),
    op(0x48, 0, 0, 16),
    op(0x15, 1, 0, 80),
    NONE,
];

fn http() -> Program {
    let mut instructions = HTTP.to_vec();
    instructions.push(ALL);
    Program::new(&instructions).unwrap()
}

fn frame(port: u16) -> Vec<u8> {
    let mut frame = vec![0; 54];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[23] = 6;
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame
}

fn matches(program: &Program, frame: &[u8], cut: usize) -> bool {
    let (link, packet) = frame.split_at(cut);
    program.matches(Pieces { link, packet }, frame.len() as u32)
}

#[test]
fn a_port_is_matched_wherever_the_frame_is_cut_in_two() {
    for cut in 0..54 {
        assert!(matches(&http(), &frame(80), cut), "cut at {cut}");
        assert!(!matches(&http(), &frame(81), cut), "cut at {cut}");
    }
}

#[test]
fn reading_past_the_end_is_no_match() {
    assert!(matches(&http(), &frame(80)[..38], 14));
    assert!(!matches(&http(), &frame(80)[..37], 14));
    assert!(!matches(&http(), &[], 0));
}

#[test]
fn a_division_by_zero_is_no_match() {
    let by_x = [op(0x00, 0, 0, 7), op(0x01, 0, 0, 0), op(0x3c, 0, 0, 0), ALL];
    assert!(!matches(&Program::new(&by_x).unwrap(), &[0; 60], 14));
    assert_eq!(
        Program::new(&[op(0x34, 0, 0, 0), ALL]),
        Err(Error::Operand {
            at: 0,
            code: 0x34,
            k: 0
        })
    );
}

#[test]
fn the_length_is_that_of_the_wire() {
    let long = Program::new(&[op(0x80, 0, 0, 0), op(0x25, 0, 1, 1000), ALL, NONE]).unwrap();
    let pieces = Pieces {
        link: &[],
        packet: &[0; 60],
    };
    assert!(long.matches(pieces, 1001));
    assert!(!long.matches(pieces, 1000));
}

#[test]
fn jumps_stay_inside_and_go_forward() {
    let outside = Err(Error::Jump { at: 0 });
    assert_eq!(Program::new(&[op(0x15, 0, 1, 0), ALL]), outside);
    assert_eq!(Program::new(&[op(0x05, 0, 0, 1), ALL]), outside);
    assert_eq!(Program::new(&[op(0x05, 0, 0, u32::MAX), ALL]), outside);
    assert!(Program::new(&[op(0x05, 0, 0, 0), ALL]).is_ok());
}

#[test]
fn a_program_returns_and_is_neither_empty_nor_endless() {
    assert_eq!(Program::new(&[]), Err(Error::Length { found: 0 }));
    assert_eq!(Program::new(&[op(0x00, 0, 0, 1)]), Err(Error::End));
    let found = MAX_INSTRUCTIONS + 1;
    assert_eq!(
        Program::new(&vec![ALL; found]),
        Err(Error::Length { found })
    );
}

#[test]
fn unknown_codes_and_scratch_memory_that_does_not_exist_are_refused() {
    let code = 0xffff;
    let unknown = Err(Error::Code { at: 1, code });
    assert_eq!(Program::new(&[ALL, op(code, 0, 0, 0), ALL]), unknown);
    assert!(Program::new(&[op(0x02, 0, 0, 15), ALL]).is_ok());
    assert!(Program::new(&[op(0x02, 0, 0, 16), ALL]).is_err());
    // The kernel's extensions (packet type, interface, VLAN tag) read nothing here.
    let extension = Program::new(&[op(0x28, 0, 0, 0xffff_f000), ALL]).unwrap();
    assert!(!matches(&extension, &[0; 60], 14));
}
