use std::os::fd::AsFd;

use super::*;

/// The programs, with descriptors that are none of maps.
fn programs() -> [Vec<Instruction>; 2] {
    let file = std::fs::File::open("/dev/null").unwrap();
    let maps = Maps {
        entries: file.as_fd(),
        generation: file.as_fd(),
        keys: file.as_fd(),
    };
    [Side::Workload, Side::Uplink].map(|side| program(side, &maps))
}

/// Whether a word is a jump with a condition, in 64 or 32 bits.
fn is_jump(word: &Instruction) -> bool {
    matches!(word.code & 0x07, 5 | 6) && !matches!(word.code, 0x85 | 0x95)
}

#[test]
fn every_way_ends_in_an_answer() {
    for program in programs() {
        let exits: Vec<usize> = (0..program.len())
            .filter(|&at| program[at] == exit())
            .collect();
        let [relayed, dropped, next] = exits[..] else {
            panic!("{exits:?}");
        };
        assert_eq!(next, program.len() - 1);
        assert_eq!(program[relayed - 1], call(REDIRECT));
        assert_eq!(program[dropped - 1], set(R0, TCX_DROP));
        assert_eq!(program[next - 1], set(R0, TCX_NEXT));
        for (at, jump) in program.iter().enumerate().filter(|(_, word)| is_jump(word)) {
            assert!(jump.offset >= 0, "no loops: {at}");
            assert!(at + 1 + (jump.offset as usize) < program.len());
        }
    }
}

/// Once the outer header is gone or the frame rewritten, the daemon is not to see it.
#[test]
fn a_frame_that_was_changed_by_half_is_dropped_and_counted() {
    let [workload, uplink] = programs();
    let target = |program: &[Instruction], function: i32| {
        let at = program.iter().position(|word| *word == call(function));
        let jump = at.expect("the call") + 1;
        assert!(is_jump(&program[jump]));
        jump + 1 + program[jump].offset as usize
    };
    let lost = add_atomically(Width::Double, ENTRY, entry::LOST, R2);
    let closed = and_atomically(ENTRY, entry::STATE, R2);
    assert_eq!(uplink[target(&uplink, SKB_STORE_BYTES) + 1], lost);
    assert_eq!(uplink[target(&uplink, SKB_ADJUST_ROOM) + 2], closed);
    assert_eq!(workload[target(&workload, SKB_STORE_BYTES) + 2], closed);
}
