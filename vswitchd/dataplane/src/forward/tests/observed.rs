//! A walk that is written down is the same walk, and what is written is true.

use super::*;
use crate::{Note, Told};

const SNAP_LEN: usize = 100;

fn as_worker(number: u16, workers: u16) -> Local {
    let mut local = local(workers);
    local.worker = WorkerId(number);
    local
}

/// What must hold between the notes, the frames that were copied, and what came
/// of the walk: `sent` is the frame after it.
fn check(world: &Snapshot, notebook: &Notebook, action: Action, sent: &Frame) {
    let notes = notebook.notes();
    assert_eq!(notes.last(), Some(&Note::Ended(action)));
    let told = notes.iter().find_map(|note| match note {
        Note::Answered(told) => Some(*told),
        _ => None,
    });
    assert_eq!(
        notebook.refused().is_some(),
        notebook.at(Point::Drop).is_some()
    );
    match (notebook.refused(), action) {
        (Some(_), Action::Drop(reason)) => {
            assert!(notes.contains(&Note::Refused(reason)));
            // Unless the answer itself has come to an end.
            assert!(
                matches!(told, None | Some(Told::Limited))
                    || reason == DropReason::UnresolvedNextHop
            );
        }
        (Some(_), _) => assert!(matches!(told, Some(Told::Error(_) | Told::Reset))),
        (None, Action::Drop(_)) => panic!("a drop that nobody wrote down: {notes:?}"),
        (None, _) if notebook.at(Point::PreEncap).is_some() => {
            check_way(world, notebook, action, sent);
        }
        (None, _) => {}
    }
}

/// A frame that went on left by the way that was written, dressed as it was copied.
fn check_way(world: &Snapshot, notebook: &Notebook, action: Action, sent: &Frame) {
    let notes = notebook.notes();
    let way = notes.iter().find_map(|note| match note {
        Note::Route { adjacency, .. } => Some(world.adjacency(*adjacency)),
        _ => None,
    });
    let way = way.expect("what went on has a way");
    let before = notebook.at(Point::PreEncap).unwrap();
    assert!(notebook.at(Point::PostPolicy).is_some());
    assert_eq!(
        (before.link_len, before.bytes.len()),
        (0, before.len.min(SNAP_LEN))
    );
    let tunnel = notes.iter().find_map(|note| match note {
        Note::Encapsulated { tunnel, .. } => Some(*tunnel),
        _ => None,
    });
    let inner = match (action, tunnel) {
        (Action::Punt(Punt::Cut(_)), _) | (_, None) => sent.packet(),
        _ => {
            let outer = ipv4::Header::parse(sent.packet()).unwrap();
            assert_eq!(
                Some((outer.src, outer.dst)),
                tunnel.map(|t| (t.local, t.remote))
            );
            &sent.packet()[ipv4::HEADER_LEN..]
        }
    };
    assert_eq!(
        (inner.len(), &inner[..before.bytes.len()]),
        (before.len, &before.bytes[..])
    );
    if let Action::Transmit(port) = action {
        assert_eq!((port, tunnel), (way.port, way.tunnel));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_walk_that_is_written_down_is_the_same_walk(
        steps in vec(step(), 1..80), workers in select(vec![1u16, 1, 2]), drops_only in any::<bool>(),
    ) {
        let worlds = [world(1), world(2)];
        let (mut world, mut now) = (worlds[0].clone(), Time::from_secs(100));
        let mut plain = [0, 1].map(|number| as_worker(number, workers));
        let mut observed = [0, 1].map(|number| as_worker(number, workers));
        let mut notebook = Notebook::new(SNAP_LEN);
        for Step { port, frame, pause, next_generation } in steps {
            now = now + pause;
            if next_generation {
                let generation = Generation(world.generation.0 + 1);
                world = worlds[generation.0 as usize % 2].clone();
                world.generation = generation;
            }
            let (mut by_plain, mut by_observed) = (frame.clone(), frame);
            let mut action = forward(&world, &mut plain[0], now, port, &mut by_plain);
            let observe = if drops_only { observe_unsettled } else { observe };
            let seen = observe(&world, &mut observed[0], now, port, &mut by_observed, &mut notebook);
            prop_assert_eq!(seen, action);
            match notebook.notes() {
                [] => prop_assert!(drops_only && matches!(action, Action::Transmit(_))),
                _ => check(&world, &notebook, action, &by_observed),
            }
            if let Action::Punt(Punt::Worker(owner, arrived)) = action {
                let owner = owner.index();
                action = resume(&world, &mut plain[owner], now, arrived, &mut by_plain);
                let seen = observe_resumed(
                    &world, &mut observed[owner], now, arrived, &mut by_observed, &mut notebook,
                );
                prop_assert_eq!(seen, action);
                check(&world, &notebook, action, &by_observed);
            }
            prop_assert_eq!(by_plain, by_observed);
            for (plain, observed) in plain.iter().zip(&observed) {
                prop_assert_eq!(remembered(plain, now), remembered(observed, now));
            }
        }
    }
}

#[test]
fn a_refusal_is_copied_before_the_answer_takes_its_place() {
    let (world, mut local, now) = (world(1), local(1), Time::from_secs(100));
    let packet = build::udp(
        A_IP,
        Ipv4Addr::new(10, 244, 7, 7),
        4000,
        53,
        b"to a block of nobody",
    );
    let original = Frame::from_ethernet(&build::ethernet(mac(A_IP), crate::GATEWAY_MAC, &packet));
    let (mut frame, mut notebook) = (original.clone(), Notebook::new(usize::MAX));
    let action = observe(&world, &mut local, now, A, &mut frame, &mut notebook);
    assert_eq!(action, Action::Transmit(A), "its ICMP error goes back");
    assert_eq!(notebook.refused(), Some(DropReason::NoRoute));
    let seen = notebook.at(Point::Drop).unwrap();
    assert_eq!((&seen.bytes[..], seen.link_len), (original.bytes(), 14));
    assert_eq!(seen.len, original.bytes().len());
    assert_eq!(notebook.at(Point::PreEncap), None);
}

#[test]
fn a_notebook_says_in_order_what_each_stage_found() {
    let (world, mut local, now) = (world(1), local(1), Time::from_secs(100));
    let packet = build::udp(A_IP, REMOTE_IP, 4000, 53, b"?");
    let mut frame = Frame::from_ethernet(&build::ethernet(mac(A_IP), crate::GATEWAY_MAC, &packet));
    let mut notebook = Notebook::new(0);
    observe(&world, &mut local, now, A, &mut frame, &mut notebook);
    let stages: Vec<_> = notebook
        .notes()
        .iter()
        .map(|note| match note {
            Note::SourceVerified { .. } => "source",
            Note::Flow { .. } => "flow",
            Note::New { .. } => "new",
            Note::Policy { .. } => "policy",
            Note::State(_) => "state",
            Note::Route { .. } => "route",
            Note::Ttl { .. } => "ttl",
            Note::Mtu { .. } => "mtu",
            Note::Encapsulated { .. } => "encapsulated",
            Note::Ended(_) => "ended",
            _ => "other",
        })
        .collect();
    let expected = [
        "source",
        "flow",
        "new",
        "policy",
        "state",
        "route",
        "ttl",
        "mtu",
        "encapsulated",
        "ended",
    ];
    assert_eq!(stages, expected);
}

#[test]
fn a_settled_flow_is_not_written_down_for_who_wants_drops() {
    let (world, mut local, now) = (world(1), local(1), Time::from_secs(100));
    let mut notebook = Notebook::new(SNAP_LEN);
    let mut notes = Vec::new();
    for _ in 0..4 {
        for (port, src, dst, ports) in [(A, A_IP, B_IP, [4000, 53]), (B, B_IP, A_IP, [53, 4000])] {
            let packet = build::udp(src, dst, ports[0], ports[1], b"?");
            let ethernet = build::ethernet(mac(src), crate::GATEWAY_MAC, &packet);
            let mut frame = Frame::from_ethernet(&ethernet);
            observe_unsettled(&world, &mut local, now, port, &mut frame, &mut notebook);
            notes.push(notebook.notes().len());
        }
    }
    assert!(notes[0] > 5, "the first packet is: {notes:?}");
    assert_eq!(notes[6..], [0, 0], "{notes:?}");
}

#[test]
fn only_the_points_that_are_wanted_are_copied() {
    let (world, mut local, now) = (world(1), local(1), Time::from_secs(100));
    let packet = build::udp(A_IP, REMOTE_IP, 4000, 53, b"?");
    let original = Frame::from_ethernet(&build::ethernet(mac(A_IP), crate::GATEWAY_MAC, &packet));
    let mut notebook = Notebook::new(SNAP_LEN);
    notebook.want([Point::PreEncap].into_iter().collect());
    for _ in 0..2 {
        let mut frame = original.clone();
        observe(&world, &mut local, now, A, &mut frame, &mut notebook);
        let is_there = Point::ALL.map(|point| notebook.at(point).is_some());
        assert_eq!(is_there, [false, true, false]);
    }
}
