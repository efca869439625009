//! Drops by port: whose frames they were, and on whose account they were dropped.

use std::sync::Arc;

use dataplane::{DropReason, PortCounters, PortId};
use packet::build;

use crate::house::*;

/// The counters of this port at minikube-m02's only worker.
fn counted(house: &mut House, port: PortId) -> Arc<PortCounters> {
    let counters = Arc::new(PortCounters::default());
    house.nodes[M02].workers[0].open_port(port, Arc::clone(&counters));
    counters
}

#[test]
fn a_denied_packet_counts_at_its_sender_and_at_the_pod_that_policy_protects() {
    let mut house = House::build(&walk_through(), 1);
    let [nginx, client] = [NGINX, CLIENT].map(|pod| house.nodes[M02].port_of(pod));
    let [nginx, client, uplink] =
        [nginx, client, UPLINK_PORT].map(|port| counted(&mut house, port));
    house.policy(&deny_all("Ingress"));
    for _ in 0..3 {
        house
            .pod_sends(CLIENT, &build::udp(CLIENT, NGINX, 4000, 53, b"no"))
            .died_of(M02, DropReason::PolicyIngress);
    }
    house
        .pod_sends(
            NGINX_MANUAL,
            &build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"no"),
        )
        .died_of(M02, DropReason::PolicyIngress);
    let reason = DropReason::PolicyIngress;
    let of = |port: &PortCounters| {
        [
            port.drops.from(reason).get(),
            port.drops.toward(reason).get(),
        ]
    };
    assert_eq!(
        [of(&client), of(&uplink), of(&nginx)],
        [[3, 0], [1, 0], [0, 4]]
    );
    assert_eq!(nginx.drops.total_from(), 0);
}

#[test]
fn a_drop_that_is_answered_counts_at_its_sender_as_any_other() {
    let mut house = House::build(&walk_through(), 1);
    let nginx = house.nodes[M02].port_of(NGINX);
    let pod = counted(&mut house, nginx);
    house.settings.reply = policy::model::Reply::Reject;
    house.policy(&deny_all("Egress"));
    let to_port = |port| build::udp(NGINX, OUTSIDE, 4000, port, b"no");
    let answered = house.pod_sends(NGINX, &to_port(53));
    assert_eq!(answered.delivered.len(), 1, "{answered:?}");
    assert_eq!(pod.drops.from(DropReason::PolicyEgress).get(), 1);
    house.nodes[M02].workers[0].close_port(nginx);
    house.pod_sends(NGINX, &to_port(54));
    assert_eq!(pod.drops.total_from(), 1, "a closed port counts nothing");
}
