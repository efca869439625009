//! Who owns which blocks when no datastore arbitrates.
//!
//! Blocks written in the file stand. Every other node gets blocks of the first pool that has one
//! free, tried in Calico's order from the node's name; nodes are served in the order of their names,
//! so every node of the cluster that knows the same names computes the same owners.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;

use super::pick::blocks_in_order;
use crate::config::Pool;

/// A node and the blocks its file gives it; none = to be derived.
#[derive(Clone, Debug)]
pub struct Claimant<'a> {
    /// The node's name.
    pub node: &'a str,
    /// Blocks that stand in the file.
    pub blocks: &'a [Ipv4Net],
}

/// The pools are too small.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no free block for node {node:?}: all blocks of the pools ({pools}) belong to other nodes; \
     add a [[pool]] or use a larger cidr"
)]
pub struct ClaimError {
    /// Who was left without.
    pub node: String,
    /// The pools' ranges.
    pub pools: String,
}

/// Owners of blocks by node name; a node's list is in the order it is used. A
/// node whose blocks are derived gets `per_node` of them, fewer where the pools
/// have no more: all first blocks are claimed before any second one, so first
/// blocks are the same whatever `per_node` is.
///
/// # Errors
/// A node is left without a block.
pub fn claim(
    pools: &[Pool],
    nodes: &[Claimant<'_>],
    per_node: usize,
) -> Result<BTreeMap<String, Vec<Ipv4Net>>, ClaimError> {
    let given = nodes.iter().flat_map(|node| node.blocks.iter().copied());
    let mut taken: BTreeSet<Ipv4Net> = given.collect();
    let by_name: BTreeMap<&str, &[Ipv4Net]> =
        nodes.iter().map(|node| (node.node, node.blocks)).collect();
    let mut owners: BTreeMap<String, Vec<Ipv4Net>> = by_name
        .iter()
        .map(|(node, blocks)| ((*node).to_owned(), blocks.to_vec()))
        .collect();
    for _ in 0..per_node {
        for (node, owned) in &mut owners {
            if !by_name[node.as_str()].is_empty() {
                continue;
            }
            match first_free(pools, node, &taken) {
                Some(block) => {
                    taken.insert(block);
                    owned.push(block);
                }
                None if owned.is_empty() => return Err(too_small(pools, node)),
                None => {}
            }
        }
    }
    Ok(owners)
}

fn first_free(pools: &[Pool], node: &str, taken: &BTreeSet<Ipv4Net>) -> Option<Ipv4Net> {
    let mut tried = pools
        .iter()
        .flat_map(|pool| blocks_in_order(node, pool.cidr, pool.block_size));
    tried.find(|block| !taken.contains(block))
}

fn too_small(pools: &[Pool], node: &str) -> ClaimError {
    let ranges: Vec<String> = pools.iter().map(|pool| pool.cidr.to_string()).collect();
    ClaimError {
        node: node.to_owned(),
        pools: ranges.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::IpipMode;

    fn pool(cidr: &str) -> Pool {
        Pool {
            name: cidr.into(),
            cidr: cidr.parse().unwrap(),
            block_size: 26,
            ipip: IpipMode::Always,
            nat_outgoing: true,
        }
    }

    fn derived<'a>(names: &[&'a str]) -> Vec<Claimant<'a>> {
        let node = |node| Claimant { node, blocks: &[] };
        names.iter().copied().map(node).collect()
    }

    #[test]
    fn the_walk_through_cluster_gets_its_three_blocks() {
        let nodes = derived(&["minikube-m03", "minikube", "minikube-m02"]);
        let owners = claim(&[pool("10.244.0.0/16")], &nodes, 1).unwrap();
        let block = |node: &str| owners[node][0].to_string();
        assert_eq!(block("minikube"), "10.244.120.64/26");
        assert_eq!(block("minikube-m02"), "10.244.205.192/26");
        assert_eq!(block("minikube-m03"), "10.244.151.0/26");
    }

    #[test]
    fn a_taken_block_is_walked_past() {
        let taken = ["10.244.120.64/26".parse().unwrap()];
        let nodes = [
            Claimant {
                node: "aaa",
                blocks: &taken,
            },
            Claimant {
                node: "minikube",
                blocks: &[],
            },
        ];
        let owners = claim(&[pool("10.244.0.0/16")], &nodes, 1).unwrap();
        assert_eq!(owners["minikube"][0].to_string(), "10.244.120.128/26");
    }

    #[test]
    fn a_second_pool_serves_when_the_first_is_full() {
        let pools = [pool("10.1.0.0/26"), pool("10.2.0.0/26")];
        let owners = claim(&pools, &derived(&["a", "b"]), 1).unwrap();
        assert_eq!(owners["b"][0].to_string(), "10.2.0.0/26");
    }

    #[test]
    fn too_many_nodes_is_an_error_that_names_the_one_left_without() {
        let error = claim(&[pool("10.1.0.0/26")], &derived(&["a", "b"]), 1).unwrap_err();
        assert_eq!(error.node, "b");
        assert!(error.to_string().contains("10.1.0.0/26"), "{error}");
    }

    #[test]
    fn second_blocks_are_claimed_after_all_first_ones() {
        let pools = [pool("10.244.0.0/16")];
        let nodes = derived(&["minikube", "minikube-m02", "minikube-m03"]);
        let one = claim(&pools, &nodes, 1).unwrap();
        let two = claim(&pools, &nodes, 2).unwrap();
        for (node, blocks) in &two {
            assert_eq!(blocks[0], one[node][0]);
            assert_eq!(blocks.len(), 2);
        }
        let all: BTreeSet<_> = two.values().flatten().collect();
        assert_eq!(all.len(), 6, "no block has two owners");
    }

    #[test]
    fn a_small_pool_gives_fewer_second_blocks_but_is_no_mistake() {
        let owners = claim(&[pool("10.1.0.0/25")], &derived(&["a", "b"]), 2).unwrap();
        assert!(owners.values().all(|blocks| blocks.len() == 1));
    }

    proptest! {
        #[test]
        fn owners_are_disjoint_and_do_not_depend_on_the_order_given(
            names in proptest::collection::btree_set("[a-z]{1,8}", 1..16),
            rotate in 0usize..16,
        ) {
            let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
            let pools = [pool("10.244.0.0/22")];
            let owners = claim(&pools, &derived(&names), 1).unwrap();
            let rotate = rotate % names.len();
            names.rotate_left(rotate);
            prop_assert_eq!(&claim(&pools, &derived(&names), 1).unwrap(), &owners);
            let blocks: BTreeSet<Ipv4Net> = owners.values().flatten().copied().collect();
            prop_assert_eq!(blocks.len(), owners.len());
        }
    }
}
