//! What a hostile pod tries, and why it gains nothing.

use dataplane::DropReason;
use packet::build;
use packet::transport::TcpFlags;

use crate::house::*;

const NOP: u8 = 1;

#[test]
fn a_packet_with_all_the_options_there_are_is_cut_like_any_other() {
    let mut house = House::walk_through();
    house.edit(M02, |description| {
        description.peers.iter_mut().for_each(|peer| {
            peer.path_mtu_bytes = Some(1400);
        });
    });
    for options in [4, 12, 24, 40] {
        let plain = build::udp(NGINX, NGINX_MANUAL, options as u16, 53, &[7; 1400]);
        let plain = build::with_header(&plain, |ip| ip.dont_fragment = false);
        let packet = build::with_options(&plain, &vec![NOP; options]);
        let outcome = house.pod_sends(NGINX, &packet);
        let at_pod = outcome.at(Place::Pod(NGINX_MANUAL));
        assert!(at_pod.len() >= 2, "{options} bytes of options: {outcome:?}");
    }
}

#[test]
fn a_fragment_at_the_far_end_does_not_wrap_into_an_unjudged_packet() {
    let mut house = House::walk_through();
    let first = build::udp(NGINX, NGINX_MANUAL, 1, 53, &[0; 64]);
    let first = build::with_header(&first, |ip| {
        (ip.dont_fragment, ip.more_fragments, ip.identification) = (false, true, 9);
    });
    house.pod_sends(NGINX, &first).only_at_pod(NGINX_MANUAL);
    let last = build::with_header(&build::udp(NGINX, NGINX_MANUAL, 1, 53, &[0; 1440]), |ip| {
        (ip.dont_fragment, ip.identification) = (false, 9);
        ip.fragment_offset_bytes = 64_160;
    });
    house
        .pod_sends(NGINX, &last)
        .died_of(M02, DropReason::Ipv4Malformed);
}

#[test]
fn a_super_segment_of_tiny_segments_is_refused() {
    let mut house = House::walk_through();
    let packet = build::tcp(NGINX, NGINX_MANUAL, 1, 80, TcpFlags::ACK, 0, &[0; 60_000]);
    let flood = build::super_segment(&packet, 1);
    house
        .pod_sends_offloaded(NGINX, flood)
        .died_of(M02, DropReason::OffloadForged);
    let honest = build::super_segment(&packet, 536);
    let outcome = house.pod_sends_offloaded(NGINX, honest);
    assert!(outcome.dropped.is_empty(), "{outcome:?}");
}

#[test]
fn the_hosts_nat_is_no_way_around_the_pods_own_egress_policy() {
    let mut house = House::walk_through();
    house.policy(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {name: only-the-host, namespace: default}\n\
         spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 172.16.30.0/24}}]}]}\n",
    );
    let node = walk_through()[M02].address;
    let to_host_port = build::tcp(CLIENT, node, 4000, 8080, TcpFlags::SYN, 0, b"");
    house.pod_sends(CLIENT, &to_host_port).only_at_host(M02);
    let translated = build::tcp(CLIENT, NGINX, 4000, 80, TcpFlags::SYN, 0, b"");
    house
        .host_sends(M02, &translated)
        .died_of(M02, DropReason::PolicyEgress);
}
