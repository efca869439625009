//! TCP/IP stacks as the pods of the house: what the walk carries is real
//! traffic, with its ARP, its retransmissions and its windows.

use std::time::Duration;

use dataplane::DropReason;
use policy::Settings;
use policy::model::{Established, Reply};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{icmp, tcp};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress, Ipv4Address};

use crate::house::*;

const MEBIBYTE: usize = 1 << 20;
const CLIENT_AT: usize = 0;
const SERVER_AT: usize = 1;

fn pair(mtu: usize) -> [Stack; 2] {
    [NGINX_MANUAL, NGINX].map(|pod| Stack::new(pod, mtu))
}

fn address(pod: std::net::Ipv4Addr) -> IpAddress {
    IpAddress::Ipv4(Ipv4Address::from(pod.octets()))
}

fn tcp_socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; 65_535]);
    tcp::Socket::new(buffer(), buffer())
}

/// The byte at this place of the stream.
fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

struct Transfer {
    client: SocketHandle,
    server: SocketHandle,
    sent: usize,
    received: usize,
}

impl Transfer {
    fn begin(stacks: &mut [Stack]) -> Self {
        let server = stacks[SERVER_AT].sockets.add(tcp_socket());
        let client = stacks[CLIENT_AT].sockets.add(tcp_socket());
        stacks[SERVER_AT].with(server, |socket: &mut tcp::Socket, _| {
            socket.listen(80).unwrap();
        });
        let to = (address(stacks[SERVER_AT].pod), 80);
        stacks[CLIENT_AT].with(client, |socket: &mut tcp::Socket, context| {
            socket.connect(context, to, 40_000).unwrap();
        });
        Self {
            client,
            server,
            sent: 0,
            received: 0,
        }
    }

    fn client_state(&self, stacks: &mut [Stack]) -> tcp::State {
        stacks[CLIENT_AT].with(self.client, |socket: &mut tcp::Socket, _| socket.state())
    }

    /// Moves what the sockets take and give; true when all has arrived.
    fn step(&mut self, stacks: &mut [Stack], total: usize) -> bool {
        let sent = &mut self.sent;
        stacks[CLIENT_AT].with(self.client, |socket: &mut tcp::Socket, _| {
            while socket.can_send() && *sent < total {
                *sent += socket
                    .send(|space| {
                        let len = space.len().min(total - *sent);
                        (0..len).for_each(|at| space[at] = byte(*sent + at));
                        (len, len)
                    })
                    .unwrap();
            }
        });
        let received = &mut self.received;
        stacks[SERVER_AT].with(self.server, |socket: &mut tcp::Socket, _| {
            while socket.can_recv() {
                *received += socket
                    .recv(|data| {
                        let right = data
                            .iter()
                            .enumerate()
                            .all(|(at, b)| *b == byte(*received + at));
                        assert!(right, "a byte changed after {received}");
                        (data.len(), data.len())
                    })
                    .unwrap();
            }
        });
        self.received == total
    }
}

fn transfer(house: &mut House, stacks: &mut [Stack], total: usize, limit: Duration) {
    let mut transfer = Transfer::begin(stacks);
    house.talk(stacks, limit, |stacks| transfer.step(stacks, total));
}

#[test]
fn a_mebibyte_crosses_two_nodes() {
    let mut house = House::walk_through();
    let mut stacks = pair(1480);
    transfer(&mut house, &mut stacks, MEBIBYTE, Duration::from_secs(60));
    for node in [M02, M03] {
        let dropped: u64 = DropReason::TABLE
            .iter()
            .map(|row| house.nodes[node].dropped(row.reason))
            .sum();
        assert_eq!(dropped, 0);
        assert_eq!(
            house.nodes[node].count(|counters| &counters.flows_created),
            1
        );
        assert!(house.nodes[node].count(|counters| &counters.arp_answered) > 0);
    }
}

#[test]
fn a_mebibyte_crosses_a_lossy_underlay() {
    let mut house = House::walk_through();
    house.underlay.loss = Some(every(29));
    transfer(
        &mut house,
        &mut pair(1480),
        MEBIBYTE,
        Duration::from_secs(600),
    );
}

#[test]
fn a_transfer_outlives_a_restart_of_both_daemons() {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "deny-client",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    ));
    let mut stacks = pair(1480);
    let mut transfer = Transfer::begin(&mut stacks);
    let limit = Duration::from_secs(60);
    house.talk(&mut stacks, limit, |stacks| {
        transfer.step(stacks, MEBIBYTE) || transfer.received > MEBIBYTE / 2
    });
    house.restart(M02);
    house.restart(M03);
    house.talk(&mut stacks, limit, |stacks| transfer.step(stacks, MEBIBYTE));
}

#[test]
fn a_stack_takes_a_rejection_for_a_refused_connection() {
    let mut house = House::walk_through();
    house.settings.reply = Reply::Reject;
    house.policy(&deny_all("Ingress"));
    let mut stacks = pair(1480);
    let transfer = Transfer::begin(&mut stacks);
    // Silence would leave it in SYN-SENT for minutes.
    house.talk(&mut stacks, Duration::from_secs(3), |stacks| {
        transfer.client_state(stacks) == tcp::State::Closed
    });
}

#[test]
fn a_transfer_goes_on_under_a_policy_that_keeps_it_and_is_reset_by_one_that_rechecks() {
    let mut house = House::walk_through();
    house.settings = Settings {
        reply: Reply::Reject,
        established: Established::Keep,
    };
    let mut stacks = pair(1480);
    let mut transfer = Transfer::begin(&mut stacks);
    let limit = Duration::from_secs(60);
    house.talk(&mut stacks, limit, |stacks| {
        transfer.step(stacks, MEBIBYTE) || transfer.received > MEBIBYTE / 4
    });
    house.policy(&deny_all("Ingress"));
    house.talk(&mut stacks, limit, |stacks| {
        transfer.step(stacks, MEBIBYTE) || transfer.received > MEBIBYTE / 2
    });
    assert_eq!(house.nodes[M02].dropped(DropReason::PolicyIngress), 0);
    house.policy(&annotated(
        &deny_all("Ingress"),
        "vswitchd/established: recheck",
    ));
    house.talk(&mut stacks, Duration::from_secs(3), |stacks| {
        transfer.step(stacks, MEBIBYTE);
        transfer.client_state(stacks) == tcp::State::Closed
    });
    assert!(transfer.received < MEBIBYTE);
}

#[test]
fn a_transfer_recovers_from_a_pod_mtu_of_1500_and_an_underlay_of_1400() {
    let mut house = House::walk_through();
    for node in [M02, M03] {
        house.edit(node, |description| {
            description
                .workloads
                .iter_mut()
                .for_each(|workload| workload.mtu_bytes = 1500);
        });
    }
    let [m02, m03] = [M02, M03].map(|node| walk_through()[node].address);
    house
        .underlay
        .path_mtu
        .extend([((m03, m02), 1400), ((m02, m03), 1400)]);
    let mut stacks = pair(1500);
    transfer(
        &mut house,
        &mut stacks,
        MEBIBYTE / 4,
        Duration::from_secs(60),
    );
    let told = &stacks[CLIENT_AT].told_mtu;
    assert_eq!(
        told.first(),
        Some(&1480),
        "first by its own node, for the outer header"
    );
    assert_eq!(told.last(), Some(&1380), "then for the narrow path");
}

#[test]
fn ping_is_answered_across_nodes() {
    let mut house = House::walk_through();
    let mut stacks = pair(1480);
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 1024]);
    let handle = stacks[CLIENT_AT]
        .sockets
        .add(icmp::Socket::new(buffer(), buffer()));
    let request = Icmpv4Repr::EchoRequest {
        ident: 7,
        seq_no: 1,
        data: b"are you there?",
    };
    stacks[CLIENT_AT].with(handle, |socket: &mut icmp::Socket, _| {
        socket.bind(icmp::Endpoint::Ident(7)).unwrap();
    });
    // smoltcp loses an echo reply for which it must first resolve the gateway,
    // so ask once a second, as ping does.
    let mut milliseconds = 0;
    house.talk(&mut stacks, Duration::from_secs(5), |stacks| {
        let is_time = milliseconds % 1100 == 0;
        milliseconds += 1;
        stacks[CLIENT_AT].with(handle, |socket: &mut icmp::Socket, _| {
            if is_time {
                let space = socket.send(request.buffer_len(), address(NGINX)).unwrap();
                request.emit(&mut Icmpv4Packet::new_unchecked(space), &Default::default());
            }
            let Ok((data, from)) = socket.recv() else {
                return false;
            };
            assert_eq!(from, address(NGINX));
            assert_eq!(&data[8..], b"are you there?");
            true
        })
    });
}
