use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use port::Waker;

use super::*;

const HERE: u64 = 2;
const THERE: u64 = 3;

/// A lookout and two things that may have something.
fn post(spin: Duration) -> (Lookout, Waker, Waker) {
    let lookout = Lookout::new(Clock::start(), spin).unwrap();
    let (here, there) = (Waker::new().unwrap(), Waker::new().unwrap());
    lookout.poller.add(here.fd(), HERE).unwrap();
    lookout.poller.add(there.fd(), THERE).unwrap();
    (lookout, here, there)
}

#[test]
fn it_looks_first_where_something_was_sent_to() {
    let (mut lookout, here, _there) = post(Duration::ZERO);
    here.wake();
    lookout.expect(&[PortId(3)]);
    lookout.glance(1);
    assert_eq!(lookout.ready, [THERE], "without asking the poller");
}

#[test]
fn who_is_not_expected_waits_a_few_turns_at_most() {
    let (mut lookout, here, _there) = post(Duration::ZERO);
    here.wake();
    let turns = (0..100).position(|_| {
        lookout.expect(&[PortId(3)]);
        lookout.glance(1);
        lookout.is_ready(HERE)
    });
    assert_eq!(turns, Some(usize::from(GLANCES)));
}

#[test]
fn where_answers_never_come_at_once_it_stops_looking_for_them() {
    let (mut lookout, here, _there) = post(Duration::ZERO);
    here.wake();
    let polled = (0..100).position(|_| {
        lookout.expect(&[PortId(3)]);
        lookout.glance(1);
        let asked = lookout.is_ready(HERE);
        lookout.rest(Duration::ZERO, &Counters::default());
        asked
    });
    assert!(polled.is_some_and(|turn| turn < usize::from(GLANCES)));
}

#[test]
fn a_stream_is_not_waited_for_and_everybody_gets_a_turn() {
    let (mut lookout, here, _there) = post(Duration::ZERO);
    here.wake();
    lookout.expect(&[PortId(3)]);
    lookout.glance(FEW + 1);
    assert_eq!(lookout.ready, [HERE]);
}

#[test]
fn it_does_not_spin_past_what_it_has_to_do() {
    let (mut lookout, _here, _there) = post(Duration::from_secs(3600));
    lookout.rest(Duration::from_millis(1), &Counters::default());
    assert!(lookout.spinning.is_worth_it(), "nothing said about frames");
}

#[test]
fn after_sending_to_nobody_or_to_many_it_asks_the_poller() {
    let (mut lookout, here, _there) = post(Duration::ZERO);
    here.wake();
    for sent_to in [&[][..], &[PortId(3), PortId(4), PortId(5)]] {
        lookout.expect(sent_to);
        lookout.glance(1);
        assert_eq!(lookout.ready, [HERE]);
    }
}

#[test]
fn spinning_is_given_up_when_it_finds_nothing() {
    let (mut lookout, _here, _there) = post(Duration::from_micros(1));
    for _ in 0..10 {
        lookout.rest(Duration::from_millis(1), &Counters::default());
    }
    lookout.spin = Duration::from_secs(3600);
    lookout.rest(Duration::ZERO, &Counters::default());
    assert_eq!(lookout.len(), 0, "and no hour was spun away");
}

#[test]
fn spinning_is_taken_up_again_when_frames_are_near() {
    let (mut lookout, here, _there) = post(Duration::from_micros(1));
    while lookout.spinning.is_worth_it() {
        lookout.rest(Duration::from_millis(1), &Counters::default());
    }
    lookout.spin = Duration::from_secs(3600);
    here.wake();
    let rests = (0..1000).position(|_| {
        lookout.rest(Duration::from_secs(60), &Counters::default());
        assert_eq!(lookout.ready, [HERE]);
        lookout.spinning.is_worth_it()
    });
    assert!(rests.is_some());
}

#[test]
fn where_others_want_the_cpu_it_sleeps_instead() {
    let spin = Duration::from_secs(5);
    let (mut lookout, _here, _there) = post(spin);
    let over = std::sync::atomic::AtomicBool::new(false);
    let over = &over;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let here = sched_getcpu().unwrap();
            let mut alone = CpuSet::new();
            alone.set(here).unwrap();
            sched_setaffinity(Pid::from_raw(0), &alone).unwrap();
            scope.spawn(move || while !over.load(std::sync::atomic::Ordering::Relaxed) {});
            let start = lookout.clock.now();
            while lookout.spinning.is_worth_it() && lookout.clock.now().since(start) < spin {
                lookout.rest(Duration::from_millis(1), &Counters::default());
            }
            let is_given_up = !lookout.spinning.is_worth_it();
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(is_given_up, "long before it has spun in vain");
        });
    });
}
